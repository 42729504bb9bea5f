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

/** @returns why the function cannot take the canary's pods now; undefined: it can */
export function obstacleOf(
  kind: WorkloadKind,
  stable: WorkloadObject,
  isForced: boolean,
): string | undefined {
  if (isForced || readWorkload(kind, stable).replicas > 0) return undefined;
  return 'it has no pods, so nobody would see whether the new ones start: wake it by a call and run this again; --force promotes it nevertheless';
}

/**
 * @param now the canary, read again once its function has the pods of `promoted`
 * @returns why it is not to be ended; undefined: it is
 */
export function obstacleToEnd(
  promoted: WorkloadObject,
  now: WorkloadObject | undefined,
  { kind, isForced }: { readonly kind: WorkloadKind; readonly isForced: boolean },
): string | undefined {
  if (!now || now.metadata?.uid !== promoted.metadata?.uid) return 'it was deleted meanwhile';
  const isSame = isDeepStrictEqual(now.spec?.template, promoted.spec?.template);
  if (!isSame) return 'it has another version meanwhile, which goes on as a canary';
  const { canaryEnd } = readWorkload(kind, now);
  if (!canaryEnd || isForced) return undefined;
  return `it was ended meanwhile: ${canaryEnd.why}. Look at the function, which has its pods now`;
}

/** The function's pods get the canary's spec. Its labels and annotations stay, since Services and its rules depend on them. */
export function promotingPatch(stable: WorkloadObject, canary: WorkloadObject): object[] {
  return [
    { op: 'test', path: '/metadata/uid', value: stable.metadata?.uid },
    { op: 'replace', path: '/spec/template/spec', value: canary.spec?.template.spec },
  ];
}

const REVISION = {
  Deployment: '/metadata/annotations/deployment.kubernetes.io~1revision',
  StatefulSet: '/status/updateRevision',
} as const;

/**
 * It holds for the version that was read. Its weight stays as it is written: the next version takes its part again.
 */
export function endingPatch(kind: WorkloadKind, canary: WorkloadObject, at: string): object[] {
  const { metadata, spec } = canary;
  const { revision, uid } = readWorkload(kind, canary);
  const text = canaryEndText({ revision, at, why: 'promoted', isPromoted: true });
  const { annotations } = metadata ?? {};
  const key = CANARY_END_ANNOTATION.replaceAll('/', '~1');
  return [
    { op: 'test', path: '/metadata/uid', value: uid },
    ...(revision === '' ? [] : [{ op: 'test', path: REVISION[kind], value: revision }]),
    { op: 'test', path: '/spec/template', value: spec?.template },
    annotations
      ? { op: 'add', path: `/metadata/annotations/${key}`, value: text }
      : { op: 'add', path: '/metadata/annotations', value: { [CANARY_END_ANNOTATION]: text } },
  ];
}

/** For people: what will be another thing than before, one line each. */
export function promotionText(stable: WorkloadObject, canary: WorkloadObject): string[] {
  const [from, to] = [stable.spec?.template, canary.spec?.template];
  const containers = containersText(stable, canary);
  const old: Record<string, unknown> = { ...from?.spec };
  const made: Record<string, unknown> = { ...to?.spec };
  const others = differing(old, made)
    .filter((key) => key !== 'containers' || containers.length === 0)
    .map((key) => `${key}: as the canary has it`);
  return [...containers, ...others, ...stays(from?.metadata?.annotations, to?.metadata?.annotations)];
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

function containersText(stable: WorkloadObject, canary: WorkloadObject): string[] {
  const [before, after] = [containersOf(stable), containersOf(canary)];
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    const [old, made] = [before.get(name), after.get(name)];
    if (!old || !made || old['image'] !== made['image'])
      return [
        `container ${name}: ${old?.['image'] ?? 'none'} → ${made?.['image'] ?? 'none'}`,
        ...(old && made ? fieldsText(name, old, made) : []),
      ];
    return fieldsText(name, old, made);
  });
}

/** Values of variables are not shown: they may be secret. */
function fieldsText(name: string, old: Container, made: Container): string[] {
  return differing(old, made)
    .filter((field) => field !== 'image')
    .map((field) => {
      if (field !== 'env') return `container ${name}: ${field}: ${short(old[field])} → ${short(made[field])}`;
      const variables = differing(byName(old.env), byName(made.env));
      return `container ${name}: env ${variables.join(', ') || 'in another order'}: as the canary has it`;
    });
}

type Container = Readonly<Record<string, unknown>> & { readonly env?: readonly { readonly name: string }[] };

function containersOf({ spec }: WorkloadObject): Map<string, Container> {
  const containers = spec?.template.spec?.containers ?? [];
  return new Map(containers.map((each) => [each.name, { ...each } as unknown as Container]));
}

function byName(items: readonly { readonly name: string }[] = []): Record<string, unknown> {
  return Object.fromEntries(items.map((each) => [each.name, each]));
}

function differing(
  old: Readonly<Record<string, unknown>>,
  made: Readonly<Record<string, unknown>>,
): string[] {
  return [...new Set([...Object.keys(old), ...Object.keys(made)])].filter(
    (key) => !isDeepStrictEqual(old[key], made[key]),
  );
}

const SHOWN_CHARS = 120;

function short(value: unknown): string {
  const text = value === undefined ? 'unset' : JSON.stringify(value);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}
