/** `slimfaas.dev/canary-of` with `slimfaas.dev/weight` and `slimfaas.dev/roll-back`, and `slimfaas.dev/sticky` of the function that is split. */
import type { RollBackSpec } from '../canary-end.ts';
import type { CanarySpec, StickyKey } from '../spec.ts';
import type { ReportFault } from './faults.ts';
import { fields, numberOr, parseJsonPart } from './json.ts';
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
  const judged = source.find(ANNOTATION.rollBack);
  if (of === undefined) {
    const isAlone = !source.find(ANNOTATION.canaryOf);
    for (const alone of isAlone ? [source.find(ANNOTATION.weight), judged] : [])
      alone?.report(alone.text, `counts only beside ${ANNOTATION.canaryOf}`, 'ignored');
    return undefined;
  }
  return { of, weightPercent, rollBack: judged && readRollBack(judged.text, judged.report) };
}

/** `{"Calls": 100, "ErrorMargin": 5, "LatencyMargin": 50}`; each of them may be left out. */
function readRollBack(text: string, report: ReportFault): RollBackSpec | undefined {
  const top = parseJsonPart(text, report, 'no roll-back');
  if (!top) return undefined;
  const f = fields(top, ['Calls', 'ErrorMargin', 'LatencyMargin'], 'no roll-back');
  return {
    calls: numberOr(f.Calls, { min: 10, max: 1_000_000, isWhole: true }, 100),
    errorMarginPercent: numberOr(f.ErrorMargin, { min: 0, max: 100 }, 5),
    // Durations are known to 20 percent.
    latencyMarginPercent: numberOr(f.LatencyMargin, { min: 20, max: 10_000 }, undefined),
  };
}

export function readSticky(source: AnnotationSource): StickyKey | undefined {
  return source.read(ANNOTATION.sticky, stickyKey, undefined);
}
