/** What is written when a canary takes its function's place. Pure: objects in, patches and words out. */
import { isDeepStrictEqual } from 'node:util';
import { ANNOTATION } from '../../common/function/annotations/names.ts';
import { CANARY_END_ANNOTATION, canaryEndText } from '../../common/function/canary-end.ts';
import type { CanarySpec, WorkloadKind } from '../../common/function/spec.ts';
import type { V1Deployment, V1StatefulSet } from '../../common/kube/client.ts';
import { findSidecar } from '../../common/kube/model/containers.ts';
import { readWorkload } from '../../common/kube/model/workload.ts';

type WorkloadObject = V1Deployment | V1StatefulSet;

/** @returns why it cannot be promoted; undefined: it can */
export function obstacleTo(
  kind: WorkloadKind,
  canary: WorkloadObject,
  isForced: boolean,
): { readonly of: string } | { readonly obstacle: string } {
  const { fn, canaryEnd, isRollingOut } = readWorkload(kind, canary);
  const spec: CanarySpec | undefined = fn?.spec.canary;
  if (!spec) return { obstacle: `it is no canary: ${ANNOTATION.canaryOf} is not set on its pods` };
  // The sidecar of a manifest is made for one function: it names it.
  if (findSidecar(canary.spec?.template.spec))
    return {
      obstacle: 'its manifest has a sidecar (slimfaas inject): change the manifest of the function instead',
    };
  if (isForced) return { of: spec.of };
  if (canaryEnd) {
    const why = canaryEnd.isPromoted ? 'it was promoted' : `it was rolled back: ${canaryEnd.why}`;
    return { obstacle: `${why}; --force promotes it nevertheless` };
  }
  if (isRollingOut) return { obstacle: 'it is being rolled out; --force promotes it nevertheless' };
  return { of: spec.of };
}

/** The function's pods get the canary's spec. Its labels and annotations stay, since Services and its rules depend on them. */
export function promotingPatch(stable: WorkloadObject, canary: WorkloadObject): object[] {
  return [
    { op: 'test', path: '/metadata/uid', value: stable.metadata?.uid },
    { op: 'replace', path: '/spec/template/spec', value: canary.spec?.template.spec },
  ];
}

/** Its weight stays as it is written: the next version takes its part again. */
export function endingPatch(kind: WorkloadKind, canary: WorkloadObject, at: string): object {
  const { revision } = readWorkload(kind, canary);
  const end = { revision, at, why: 'promoted', isPromoted: true };
  return { metadata: { annotations: { [CANARY_END_ANNOTATION]: canaryEndText(end) } } };
}

/** For people: what will be another thing than before, one line each. */
export function promotionText(stable: WorkloadObject, canary: WorkloadObject): string[] {
  const [from, to] = [stable.spec?.template, canary.spec?.template];
  const [before, after] = [imagesOf(stable), imagesOf(canary)];
  const images = [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => `container ${name}: ${before.get(name) ?? 'none'} → ${after.get(name) ?? 'none'}`);
  const old: Record<string, unknown> = { ...from?.spec };
  const made: Record<string, unknown> = { ...to?.spec };
  const others = [...new Set([...Object.keys(old), ...Object.keys(made)])]
    .filter((key) => !isDeepStrictEqual(old[key], made[key]))
    .filter((key) => key !== 'containers' || images.length === 0)
    .map((key) => `${key}: as the canary has it`);
  return [...images, ...others, ...stays(from?.metadata?.annotations, to?.metadata?.annotations)];
}

const OF_CANARIES: ReadonlySet<string> = new Set([
  ANNOTATION.canaryOf,
  ANNOTATION.weight,
  ANNOTATION.rollBack,
]);

function stays(stable: Record<string, string> = {}, canary: Record<string, string> = {}): string[] {
  return [...new Set([...Object.keys(stable), ...Object.keys(canary)])]
    .filter((key) => stable[key] !== canary[key] && !OF_CANARIES.has(key))
    .map((key) => `annotation ${key} stays ${text(stable[key])}, not ${text(canary[key])}`);
}

function text(value: string | undefined): string {
  return value === undefined ? 'unset' : JSON.stringify(value);
}

function imagesOf({ spec }: WorkloadObject): Map<string, string> {
  return new Map(spec?.template.spec?.containers.map(({ name, image = '' }) => [name, image]));
}
