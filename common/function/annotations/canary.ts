/** `slimfaas.dev/canary-of` with `slimfaas.dev/weight`, and `slimfaas.dev/sticky` of the function that is split. */
import type { CanarySpec, StickyKey } from '../spec.ts';
import { ANNOTATION } from './names.ts';
import type { AnnotationSource } from './source.ts';
import { int, isWorkloadName, type Reader } from './values.ts';

const workloadName: Reader<string> = (text) =>
  isWorkloadName(text) ? { value: text } : { allowed: 'the name of a function of the same namespace' };

/** Names of headers and cookies are tokens (RFC 9110). */
const stickyKey: Reader<StickyKey> = (text) => {
  const [, from, name] = /^(header|cookie):([\w!#$%&'*+.^`|~-]{1,128})$/i.exec(text) ?? [];
  if (from === undefined || name === undefined) return { allowed: 'header:NAME or cookie:NAME' };
  return from.toLowerCase() === 'header'
    ? { value: { from: 'header', name: name.toLowerCase() } }
    : { value: { from: 'cookie', name } };
};

export function readCanary(source: AnnotationSource): CanarySpec | undefined {
  const of = source.read(ANNOTATION.canaryOf, workloadName, undefined);
  const weightPercent = source.read(ANNOTATION.weight, int(0, 100), 0);
  const weight = source.find(ANNOTATION.weight);
  if (of === undefined) {
    if (weight && !source.find(ANNOTATION.canaryOf))
      weight.report(weight.text, `counts only beside ${ANNOTATION.canaryOf}`, 'ignored');
    return undefined;
  }
  return { of, weightPercent };
}

export function readSticky(source: AnnotationSource): StickyKey | undefined {
  return source.read(ANNOTATION.sticky, stickyKey, undefined);
}
