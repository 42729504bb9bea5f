/**
 * Annotations of a pod template to a complete, frozen {@link FunctionSpec}. They are read only here. An invalid value
 * falls back to its default and becomes a fault. Nothing here ever throws, so one bad annotation cannot make a
 * function vanish. What may be written has bounds (annotation-bounds.ts).
 *
 * Room `common/function`: The contract with users: annotations, names, paths.
 * Comes in: annotations as text.
 * Goes out: a typed spec, and faults that name place and value.
 */
import { DEFAULT_POLICIES } from '../../call/policy.ts';
import { readAuth } from './callers/auth.ts';
import { CLOSED_CORS, readCors } from './callers/cors.ts';
import { readConfiguration } from './configuration.ts';
import { readFallback } from './callers/fallback.ts';
import { closestName, type FaultList, type ReportFault } from './faults.ts';
import { readCanary, readSticky } from './canary.ts';
import { readHosts } from './hosts.ts';
import { readDirect } from './direct.ts';
import { checkDependedOnBy, readDependsOn, readEvents, readPaths } from './lists.ts';
import { INJECT_STATUS_ANNOTATION } from '../names.ts';
import { ANNOTATION } from './names.ts';
import { readRateLimit } from './callers/rate-limit.ts';
import { readResources } from './resources.ts';
import { readScale } from './scaling/scale.ts';
import { readSchedule } from './schedule.ts';
import { AnnotationSource } from './source.ts';
import { appProtocol, bool, image, int, word } from './values.ts';
import type { CorsSpec } from '../callers.ts';
import type { AnnotationFault, FunctionSpec, ScaleSpec } from '../spec.ts';

export { ANNOTATION } from './names.ts';

/** What holds for a function that does not say it; flags of the parts set it. */
export interface AnnotationDefaults {
  readonly services: 'wake' | 'ignore';
}

const DEFAULTS: AnnotationDefaults = { services: 'ignore' };

export interface ParsedAnnotations {
  /** SlimFaas/Function is "true". */
  readonly isFunction: boolean;
  readonly spec: FunctionSpec;
  readonly faults: readonly AnnotationFault[];
}

const KNOWN: readonly string[] = Object.values(ANNOTATION);
const DEFAULT_PARALLEL_PER_POD = 10;

export function parseAnnotations(
  annotations: Readonly<Record<string, string>>,
  defaults: AnnotationDefaults = DEFAULTS,
): ParsedAnnotations {
  const source = new AnnotationSource(annotations);
  const isFunction = source.read(ANNOTATION.function, bool, false);
  const spec = readSpec(source, defaults);
  checkDependedOnBy(source);
  reportUnknown(annotations, source.list);
  return Object.freeze({
    isFunction,
    spec: deepFreeze(spec),
    faults: Object.freeze(source.list.faults),
  });
}

function readSpec(source: AnnotationSource, defaults: AnnotationDefaults): FunctionSpec {
  const replicasMin = source.read(ANNOTATION.replicasMin, int(0), 0);
  const idleTimeoutSeconds = source.read(ANNOTATION.idleTimeout, int(0), 300);
  const defaultVisibility = source.read(ANNOTATION.defaultVisibility, word('Public', 'Private'), 'Public');
  const overrides = readOverrides(source);
  const services = readServices(source, defaults, overrides);
  const trust = [ANNOTATION.defaultTrust, ANNOTATION.defaultTrustAlias];
  return {
    replicasMin,
    replicasAtStart: Math.max(source.read(ANNOTATION.replicasAtStart, int(1), 1), replicasMin),
    wakesWithAny: source.read(ANNOTATION.wakesWithAny, bool, false),
    idleTimeoutSeconds,
    parallelLimit: source.read(ANNOTATION.parallelLimit, int(1), undefined),
    parallelPerPod: source.read(ANNOTATION.parallelPerPod, int(1), DEFAULT_PARALLEL_PER_POD),
    parallelPerPodSetByUser: source.isSet(ANNOTATION.parallelPerPod, int(1)),
    dependsOn: readDependsOn(source),
    subscribeEvents: readEvents(source, defaultVisibility),
    defaultVisibility,
    pathVisibility: readPaths(source),
    hosts: readHosts(source),
    canary: readCanary(source),
    sticky: readSticky(source),
    fallback: readJson(source, ANNOTATION.fallback, readFallback),
    waitingPageSeconds: source.read(ANNOTATION.waitingPage, int(0, 3_600), undefined),
    rewritesPaths: source.read(ANNOTATION.rewritePaths, bool, false),
    trusted: source.read(trust, word('Trusted', 'Untrusted'), 'Trusted') === 'Trusted',
    ...readPolicies(source),
    schedule: readJson(source, ANNOTATION.schedule, readSchedule),
    scale: readScaleWithin(source, replicasMin),
    ...overrides,
    services,
    direct: readDirect(source, { idleTimeoutSeconds, isWokenByServices: services === 'wake' }),
  };
}

/** Who calls by a Service is asked for nothing, so it wakes no function that asks its callers who they are. */
function readServices(
  source: AnnotationSource,
  defaults: AnnotationDefaults,
  { auth }: Pick<FunctionSpec, 'auth'>,
): FunctionSpec['services'] {
  const asked = source.read(ANNOTATION.services, word('wake', 'ignore'), undefined);
  if (auth === undefined || auth === 'none') return asked ?? defaults.services;
  if (asked === 'wake')
    source.list.of(ANNOTATION.services)(
      asked,
      `not allowed beside ${ANNOTATION.auth}; allowed: ignore. Callers by a Service are not asked who they are`,
      'ignore',
    );
  return 'ignore';
}

function readPolicies(source: AnnotationSource): Pick<FunctionSpec, 'sync' | 'async' | 'publish'> {
  return readJson(source, ANNOTATION.configuration, readConfiguration) ?? DEFAULT_POLICIES;
}

function readOverrides(source: AnnotationSource) {
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
    directCalls: source.read(ANNOTATION.directCalls, bool, false),
    rateLimit: readJson(source, ANNOTATION.rateLimit, readRateLimit),
    auth: readJson(source, ANNOTATION.auth, readAuth) ?? closedIfUnread(source),
    cors: readJson(source, ANNOTATION.cors, readCors) ?? noSiteIfUnread(source),
  };
}

/** What is too long or blank is a fault like any other: an empty value of a template must not open a function. */
function closedIfUnread(source: AnnotationSource): 'closed' | undefined {
  if (source.isRefused(ANNOTATION.auth)) return 'closed';
  if (!source.isBlank(ANNOTATION.auth)) return undefined;
  source.list.of(ANNOTATION.auth)(
    '',
    'is empty; allowed: none, or JSON with Jwt or ApiKeys',
    'nobody is let in',
  );
  return 'closed';
}

function noSiteIfUnread(source: AnnotationSource): CorsSpec | undefined {
  return source.isRefused(ANNOTATION.cors) ? CLOSED_CORS : undefined;
}

function readJson<T>(source: AnnotationSource, name: string, read: (text: string, report: ReportFault) => T) {
  const found = source.find(name);
  return found && read(found.text, found.report);
}

/** ReplicaMax below ReplicasMin cannot both hold; the promise of a minimum is the older one. */
function readScaleWithin(source: AnnotationSource, replicasMin: number): ScaleSpec | undefined {
  const scale = readJson(source, ANNOTATION.scale, readScale);
  if (scale?.replicaMax === undefined || scale.replicaMax >= replicasMin) return scale;
  source.list.of(ANNOTATION.scale)(
    String(scale.replicaMax),
    `ReplicaMax is not allowed; allowed: at least ReplicasMin, which is ${replicasMin}`,
    `ReplicaMax ${replicasMin}`,
  );
  return { ...scale, replicaMax: replicasMin };
}

/**
 * Keys are case-sensitive, so `slimfaas/replicasmin` does nothing: say so. Under `slimfaas.dev/` other keys
 * may be somebody's own; only near misses are reported there. The webhook's `status` is on every pod that it injects.
 */
function reportUnknown(annotations: Readonly<Record<string, string>>, list: FaultList): void {
  for (const [key, value] of Object.entries(annotations)) {
    const lower = key.toLowerCase();
    if (KNOWN.includes(key) || key === INJECT_STATUS_ANNOTATION || !/^slimfaas(\.dev)?\//.test(lower))
      continue;
    const isOurs = lower.startsWith('slimfaas/');
    if (list.isFull) {
      // To find what each of thousands was meant to be takes a second: they are only counted.
      if (isOurs) list.of(key)('', 'unknown annotation', 'ignored');
      continue;
    }
    const meant = isOurs ? closestName(key, KNOWN) : closestName(key, KNOWN, 2);
    if (!isOurs && meant === undefined) continue;
    const advice = meant === undefined ? '; see docs/reference/annotations.md' : `; did you mean ${meant}?`;
    list.of(key)(String(value), `unknown annotation${advice}`, 'ignored');
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
