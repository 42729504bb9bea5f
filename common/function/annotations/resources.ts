/** `slimfaas.dev/sidecar-resources`: `{requests, limits}` as in a container, quantities as Kubernetes has them. */
import { fields, parseJsonPart, reject, type JsonPart } from './json.ts';
import type { ReportFault } from './faults.ts';
import { parseQuantity } from '../quantity.ts';
import type { SidecarResources } from '../spec.ts';
import { isObject } from '../../runtime/is-object.ts';

/** A quantity that the API server would refuse makes every pod of the workload fail, so it stops here. */
export function readResources(text: string, report: ReportFault): SidecarResources | undefined {
  const top = parseJsonPart(text, report, 'the default resources');
  if (top === undefined) return undefined;
  const f = fields(top, ['requests', 'limits'], 'the default resources');
  const requests = f.requests && readQuantities(f.requests);
  const limits = f.limits && readQuantities(f.limits);
  if (!requests && !limits) return undefined;
  return { ...(requests && { requests }), ...(limits && { limits }) };
}

function readQuantities(part: JsonPart): Record<string, string> | undefined {
  if (!isObject(part.value)) {
    reject(part, 'an object of quantities', 'ignored');
    return undefined;
  }
  const quantities: Record<string, string> = {};
  for (const [name, value] of Object.entries(part.value)) {
    const quantity = typeof value === 'number' ? String(value) : value;
    const item = { path: `${part.path}.${name}`, value, report: part.report };
    if (!/^[a-z][\w./-]*$/i.test(name)) reject(item, 'a resource name such as cpu', 'ignored');
    else if (typeof quantity === 'string' && isQuantity(quantity)) quantities[name] = quantity;
    else reject(item, 'a quantity such as 100m or 64Mi', 'ignored');
  }
  return quantities;
}

function isQuantity(text: string): boolean {
  return !text.startsWith('-') && parseQuantity(text) !== undefined;
}
