/**
 * Annotations of a pod template to a complete, frozen {@link FunctionSpec}. This is the one edge at which they
 * are read: an invalid value falls back to its default and becomes a fault, and nothing here ever throws, so
 * that one bad annotation cannot make a function vanish.
 */
import { DEFAULT_POLICIES, readConfiguration } from './annotation-configuration.ts';
import { closestName, createFaultList, type FaultList, type ReportFault } from './annotation-faults.ts';
import { readResources } from './annotation-resources.ts';
import { readScale } from './annotation-scale.ts';
import { readSchedule } from './annotation-schedule.ts';
import {
  appProtocol,
  bool,
  commaItems,
  image,
  int,
  isEventName,
  isWorkloadName,
  listItems,
  visibleItem,
  word,
  type Reader,
} from './annotation-values.ts';
import { canonicalPrefix } from './canonical-path.ts';
import type {
  AnnotationFault,
  EventSubscription,
  FunctionSpec,
  PathRule,
  ScaleSpec,
  Visibility,
} from './function-spec.ts';

export interface ParsedAnnotations {
  /** SlimFaas/Function is "true". */
  readonly isFunction: boolean;
  readonly spec: FunctionSpec;
  readonly faults: readonly AnnotationFault[];
}

/** Every annotation that this system reads or writes; the keys are what users type. */
export const ANNOTATION = {
  function: 'SlimFaas/Function',
  replicasMin: 'SlimFaas/ReplicasMin',
  replicasAtStart: 'SlimFaas/ReplicasAtStart',
  wakesWithAny: 'SlimFaas/ReplicasStartAsSoonAsOneFunctionRetrieveARequest',
  idleTimeout: 'SlimFaas/TimeoutSecondBeforeSetReplicasMin',
  parallelLimit: 'SlimFaas/NumberParallelRequest',
  parallelPerPod: 'SlimFaas/NumberParallelRequestPerPod',
  dependsOn: 'SlimFaas/DependsOn',
  subscribeEvents: 'SlimFaas/SubscribeEvents',
  defaultVisibility: 'SlimFaas/DefaultVisibility',
  pathVisibility: 'SlimFaas/PathsStartWithVisibility',
  pathVisibilityAlias: 'SlimFaas/UrlsPathStartWithVisibility',
  defaultTrust: 'SlimFaas/DefaultTrust',
  defaultTrustAlias: 'SlimFaas/DefaultTrusted',
  configuration: 'SlimFaas/Configuration',
  schedule: 'SlimFaas/Schedule',
  scale: 'SlimFaas/Scale',
  inject: 'slimfaas.dev/inject',
  port: 'slimfaas.dev/port',
  appProtocol: 'slimfaas.dev/app-protocol',
  queueLimit: 'slimfaas.dev/queue-limit',
  coldStartTimeout: 'slimfaas.dev/cold-start-timeout',
  sidecarImage: 'slimfaas.dev/sidecar-image',
  sidecarResources: 'slimfaas.dev/sidecar-resources',
  paused: 'slimfaas.dev/paused',
  ordered: 'slimfaas.dev/ordered',
  retryJitter: 'slimfaas.dev/retry-jitter',
  jobShare: 'slimfaas.dev/job-share',
} as const;

const KNOWN: readonly string[] = Object.values(ANNOTATION);
const DEFAULT_PARALLEL_PER_POD = 10;

export function parseAnnotations(annotations: Readonly<Record<string, string>>): ParsedAnnotations {
  const source = new Source(annotations);
  const isFunction = source.read(ANNOTATION.function, bool, false);
  const spec = readSpec(source);
  reportUnknown(annotations, source.list);
  return Object.freeze({
    isFunction,
    spec: deepFreeze(spec),
    faults: Object.freeze(source.list.faults),
  });
}

/** The annotations with a place for their faults; a blank value is one that is not there. */
class Source {
  readonly list: FaultList = createFaultList();
  readonly #annotations: Readonly<Record<string, string>>;

  constructor(annotations: Readonly<Record<string, string>>) {
    this.#annotations = annotations;
  }

  /** The trimmed value of the first of these names that is not blank: main names come before aliases. */
  find(...names: readonly string[]): { text: string; report: ReportFault } | undefined {
    for (const name of names) {
      const value: unknown = Object.hasOwn(this.#annotations, name) ? this.#annotations[name] : undefined;
      const text = typeof value === 'string' ? value.trim() : '';
      if (text !== '') return { text, report: this.list.of(name) };
    }
    return undefined;
  }

  read<T, D>(name: string | readonly string[], reader: Reader<T>, fallback: D): T | D {
    const found = this.find(...(typeof name === 'string' ? [name] : name));
    if (!found) return fallback;
    const result = reader(found.text);
    if ('value' in result) return result.value;
    const inForce = fallback === undefined ? 'none' : String(fallback);
    found.report(found.text, `not allowed; allowed: ${result.allowed}`, inForce);
    return fallback;
  }

  /** Whether a valid value was written, be it the default's. */
  isSet<T>(name: string, reader: Reader<T>): boolean {
    const found = this.find(name);
    return found !== undefined && 'value' in reader(found.text);
  }
}

function readSpec(source: Source): FunctionSpec {
  const replicasMin = source.read(ANNOTATION.replicasMin, int(0), 0);
  const defaultVisibility = source.read(ANNOTATION.defaultVisibility, word('Public', 'Private'), 'Public');
  const trust = [ANNOTATION.defaultTrust, ANNOTATION.defaultTrustAlias];
  return {
    replicasMin,
    replicasAtStart: Math.max(source.read(ANNOTATION.replicasAtStart, int(1), 1), replicasMin),
    wakesWithAny: source.read(ANNOTATION.wakesWithAny, bool, false),
    idleTimeoutSeconds: source.read(ANNOTATION.idleTimeout, int(0), 300),
    parallelLimit: source.read(ANNOTATION.parallelLimit, int(1), undefined),
    parallelPerPod: source.read(ANNOTATION.parallelPerPod, int(1), DEFAULT_PARALLEL_PER_POD),
    parallelPerPodSetByUser: source.isSet(ANNOTATION.parallelPerPod, int(1)),
    dependsOn: readDependsOn(source),
    subscribeEvents: readEvents(source, defaultVisibility),
    defaultVisibility,
    pathVisibility: readPaths(source),
    trusted: source.read(trust, word('Trusted', 'Untrusted'), 'Trusted') === 'Trusted',
    ...readPolicies(source),
    schedule: readJson(source, ANNOTATION.schedule, readSchedule),
    scale: readScaleWithin(source, replicasMin),
    ...readOverrides(source),
  };
}

function readPolicies(source: Source): Pick<FunctionSpec, 'sync' | 'async' | 'publish'> {
  return readJson(source, ANNOTATION.configuration, readConfiguration) ?? DEFAULT_POLICIES;
}

type Overrides = Pick<
  FunctionSpec,
  | 'inject'
  | 'port'
  | 'appProtocol'
  | 'queueLimit'
  | 'coldStartTimeoutSeconds'
  | 'sidecarImage'
  | 'sidecarResources'
  | 'paused'
  | 'ordered'
  | 'retryJitterPercent'
  | 'jobSharePercent'
>;

function readOverrides(source: Source): Overrides {
  return {
    inject: source.read(ANNOTATION.inject, bool, true),
    port: source.read(ANNOTATION.port, int(1, 65_535), undefined),
    appProtocol: source.read(ANNOTATION.appProtocol, appProtocol, undefined),
    queueLimit: source.read(ANNOTATION.queueLimit, int(0), undefined),
    coldStartTimeoutSeconds: source.read(ANNOTATION.coldStartTimeout, int(1), undefined),
    sidecarImage: source.read(ANNOTATION.sidecarImage, image, undefined),
    sidecarResources: readJson(source, ANNOTATION.sidecarResources, readResources),
    paused: source.read(ANNOTATION.paused, bool, false),
    ordered: source.read(ANNOTATION.ordered, bool, false),
    retryJitterPercent: source.read(ANNOTATION.retryJitter, int(0, 100), undefined),
    jobSharePercent: source.read(ANNOTATION.jobShare, int(0, 100), undefined),
  };
}

function readJson<T>(source: Source, name: string, read: (text: string, report: ReportFault) => T) {
  const found = source.find(name);
  return found && read(found.text, found.report);
}

/** ReplicaMax below ReplicasMin cannot both hold; the promise of a minimum is the older one. */
function readScaleWithin(source: Source, replicasMin: number): ScaleSpec | undefined {
  const scale = readJson(source, ANNOTATION.scale, readScale);
  if (scale?.replicaMax === undefined || scale.replicaMax >= replicasMin) return scale;
  source.list.of(ANNOTATION.scale)(
    String(scale.replicaMax),
    `ReplicaMax is not allowed; allowed: at least ReplicasMin, which is ${replicasMin}`,
    `ReplicaMax ${replicasMin}`,
  );
  return { ...scale, replicaMax: replicasMin };
}

function readDependsOn(source: Source): readonly string[] {
  const found = source.find(ANNOTATION.dependsOn);
  if (!found) return [];
  const names = listItems(found.text);
  if (!names) {
    found.report(found.text, 'not allowed; allowed: a comma list or a JSON array of names', 'none');
    return [];
  }
  for (const name of names.filter((name) => !isWorkloadName(name))) {
    found.report(name, 'not allowed; allowed: names of workloads (a-z, 0-9, "-", ".")', 'ignored');
  }
  return [...new Set(names.filter(isWorkloadName))];
}

/** An event without a prefix has the function's own visibility, as in SlimFaas. */
function readEvents(source: Source, fallback: Visibility): readonly EventSubscription[] {
  const items = readVisible(source, [ANNOTATION.subscribeEvents], fallback);
  const problem = 'not allowed; allowed: event names without "/" and white space';
  for (const { text } of items.filter(({ text }) => !isEventName(text))) {
    source.list.of(ANNOTATION.subscribeEvents)(text, problem, 'ignored');
  }
  return items
    .filter(({ text }) => isEventName(text))
    .map(({ visibility, text }) => ({ visibility, event: text }));
}

/**
 * A path without a prefix is Public: with DefaultVisibility Private that is how a path is opened. Paths of requests
 * are compared without their query: a Private rule with one closes the path, a Public one opens nothing.
 */
function readPaths(source: Source): readonly PathRule[] {
  const names = [ANNOTATION.pathVisibility, ANNOTATION.pathVisibilityAlias];
  const report = (rule: PathRule, text: string, allowed: string, inForce: string): PathRule => {
    source.find(...names)?.report(text, `not allowed; allowed: ${allowed}`, inForce);
    return rule;
  };
  return readVisible(source, names, 'Public').flatMap(({ visibility, text }) => {
    const [path = ''] = text.split(/[?#]/, 1);
    const rule = { visibility, prefix: canonicalPrefix(path) };
    if (!path.startsWith('/') && path === text)
      return report(rule, text, 'a path that starts with "/"', rule.prefix);
    if (path === text) return rule;
    const isKept = visibility === 'Private';
    report(rule, text, 'a path without "?" and "#"', isKept ? `Private:${rule.prefix}` : 'ignored');
    return isKept ? rule : [];
  });
}

function readVisible(source: Source, names: readonly string[], fallback: Visibility) {
  const found = source.find(...names);
  if (!found) return [];
  const read = commaItems(found.text).map((item) => visibleItem(item, fallback));
  for (const { unknownPrefix, text } of read) {
    if (unknownPrefix === undefined) continue;
    const problem = `prefix ${unknownPrefix}: is not allowed; allowed: Public: or Private:`;
    found.report(`${unknownPrefix}:${text}`, problem, `Private:${text}`);
  }
  return read.filter(({ text }) => text !== '');
}

/**
 * Keys are case-sensitive, so `slimfaas/replicasmin` does nothing: say so. Under `slimfaas.dev/` other keys
 * may be ours (`status`) or somebody's own; only near misses are reported there.
 */
function reportUnknown(annotations: Readonly<Record<string, string>>, list: FaultList): void {
  for (const [key, value] of Object.entries(annotations)) {
    const lower = key.toLowerCase();
    if (KNOWN.includes(key) || !/^slimfaas(\.dev)?\//.test(lower)) continue;
    const isOurs = lower.startsWith('slimfaas/');
    const meant = isOurs ? closestName(key, KNOWN) : closestName(key, KNOWN, 2);
    if (!isOurs && meant === undefined) continue;
    const advice = meant === undefined ? '; see docs/annotations.md' : `; did you mean ${meant}?`;
    list.of(key)(String(value), `unknown annotation${advice}`, 'ignored');
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
