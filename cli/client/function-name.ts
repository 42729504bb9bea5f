/** The function that a command is about. */
import { UsageError } from '../../common/runtime/errors.ts';
import type { Parsed } from '../parts/flag-options.ts';

/**
 * `fib` and `--namespace shop` → `fib.shop`, as the proxy's paths have it; `fib` alone is of the proxy's own namespace.
 * @throws UsageError when name and flag say different namespaces
 */
export function functionName(argv: Parsed, namespace: string): string {
  const name = String(argv['function']);
  if (namespace === '' || name.endsWith(`.${namespace}`)) return name;
  if (!name.includes('.')) return `${name}.${namespace}`;
  throw new UsageError(`${name} names a namespace already; leave --namespace ${namespace} out`);
}
