/**
 * What a function is, once its annotations have been read: checked and frozen. A default that is a constant is filled in;
 * `undefined` means that the annotation is not given and something else decides, as each field says.
 * `annotations.ts` makes it; everything behind that edge can rely on it without a check.
 */
import type { CallPolicy } from '../call/policy.ts';
import type { FunctionId } from '../bus/subjects.ts';
import type { AuthSpec, CorsSpec, RateLimitSpec } from './callers.ts';
import type { RollBackSpec } from './canary-end.ts';

export type Visibility = 'Public' | 'Private';
/** What the user's port speaks; `h2c`: HTTP/2 without TLS, which gRPC is spoken over; `https`: HTTP/1.1 over TLS. */
export type AppProtocol = 'http1' | 'h2c' | 'https';
export type WorkloadKind = 'Deployment' | 'StatefulSet';

export interface PathRule {
  readonly visibility: Visibility;
  readonly prefix: string;
}

/** A host that leads to the function. */
export interface HostRule {
  /** In lower case; `*.example.com` means every name below it. */
  readonly host: string;
  /** `/`, or a path without a slash at its end. */
  readonly prefix: string;
}

export interface EventSubscription {
  readonly visibility: Visibility;
  readonly event: string;
}

/** Minutes of the local day (0–1439) at which the function is woken. */
export interface ScheduleDay {
  readonly wakeUpMinutes: readonly number[];
  readonly scaleDownTimeouts: readonly { readonly minute: number; readonly seconds: number }[];
}

export interface ScheduleSpec {
  readonly timeZone: string;
  readonly default: ScheduleDay;
  /** Optional days that replace `default`: 0 is Sunday. */
  readonly weekdays: Readonly<Partial<Record<0 | 1 | 2 | 3 | 4 | 5 | 6, ScheduleDay>>>;
}

export interface ScaleTrigger {
  readonly metricType: 'AverageValue' | 'Value';
  readonly metricName: string;
  readonly query: string;
  readonly threshold: number;
  /** A query's value above it is work: it keeps the function up, and wakes it where scaleFromZero is set. */
  readonly activationThreshold: number;
  /** The name of one of {@link ScaleSpec.sources}, which is asked instead of scraped pods. */
  readonly source?: string;
  /** The source says itself how much one pod can take, and its value is in such parts. */
  readonly hasOwnTarget?: boolean;
}

/** What lies outside and knows how much work there is. Names are unique within a function. */
export type SourceSpec = {
  readonly name: string;
  readonly intervalMs: number;
  /** A Secret of the function's own namespace, with its credentials. */
  readonly secret: string | undefined;
} & SourcePlace;

export type SourcePlace =
  /** An exporter's page, which our own PromQL reads; or a Prometheus, which reads for us. */
  | { readonly type: 'metrics' | 'prometheus'; readonly url: string }
  | {
      readonly type: 'nats-jetstream';
      readonly url: string;
      readonly stream: string;
      readonly consumer: string;
    }
  /** KEDA's external scaler. */
  | {
      readonly type: 'external';
      readonly url: string;
      readonly metadata: Readonly<Record<string, string>>;
    }
  /** From each `start` to the next `end`; both as cron writes times. */
  | {
      readonly type: 'cron';
      readonly start: string;
      readonly end: string;
      readonly timeZone: string;
      readonly replicas: number;
    };

export interface ScalePolicy {
  readonly type: 'Percent' | 'Pods';
  readonly value: number;
  readonly periodSeconds: number;
}

export interface ScaleDirection {
  readonly stabilizationWindowSeconds: number;
  readonly selectPolicy: 'Max' | 'Min' | 'Disabled';
  readonly policies: readonly ScalePolicy[];
}

export interface ScaleSpec {
  /** undefined: no limit of its own. */
  readonly replicaMax: number | undefined;
  /** A trigger with a query wakes the function from zero. */
  readonly scaleFromZero: boolean;
  readonly scrapeIntervalMs: number;
  readonly sources: readonly SourceSpec[];
  readonly triggers: readonly ScaleTrigger[];
  readonly scaleUp: ScaleDirection;
  readonly scaleDown: ScaleDirection;
}

/** A function that takes a part of another one's calls. */
export interface CanarySpec {
  /** A function of the same namespace. */
  readonly of: string;
  /** Its part of the calls by the other one's name or host. */
  readonly weightPercent: number;
  /** slimfaas.dev/roll-back; undefined: it is never rolled back by itself. */
  readonly rollBack: RollBackSpec | undefined;
}

/** What of a call keeps it with one part of a split function. */
export interface StickyKey {
  readonly from: 'header' | 'cookie';
  /** A header's in lower case. */
  readonly name: string;
}

/** What a caller gets where no pod comes: an answer as it is written, or that of another function of the namespace. */
export type FallbackSpec =
  | { readonly kind: 'answer'; readonly status: number; readonly contentType: string; readonly body: string }
  | { readonly kind: 'function'; readonly name: string };

/** A bad annotation value: what was written, where, what is allowed, what is in force instead. */
export interface AnnotationFault {
  readonly annotation: string;
  readonly value: string;
  readonly problem: string;
  readonly inForce: string;
}

export interface FunctionSpec {
  readonly replicasMin: number;
  readonly replicasAtStart: number;
  /** SlimFaas/ReplicasStartAsSoonAsOneFunctionRetrieveARequest. */
  readonly wakesWithAny: boolean;
  readonly idleTimeoutSeconds: number;
  /** undefined: as many as the pods allow. */
  readonly parallelLimit: number | undefined;
  readonly parallelPerPod: number;
  /** True where the annotation was given: it changes which triggers apply by default. */
  readonly parallelPerPodSetByUser: boolean;
  readonly dependsOn: readonly string[];
  readonly subscribeEvents: readonly EventSubscription[];
  readonly defaultVisibility: Visibility;
  readonly pathVisibility: readonly PathRule[];
  readonly trusted: boolean;
  /** slimfaas.dev/hosts; without a rule it is called by its name alone. */
  readonly hosts: readonly HostRule[];
  /** slimfaas.dev/canary-of and slimfaas.dev/weight. */
  readonly canary: CanarySpec | undefined;
  /** slimfaas.dev/sticky; undefined: each call is split by itself. */
  readonly sticky: StickyKey | undefined;
  /** slimfaas.dev/fallback; undefined: the caller is told why it cannot be woken. */
  readonly fallback: FallbackSpec | undefined;
  /** slimfaas.dev/waiting-page: when a browser is shown that the function starts; 0: never; undefined: the proxy's flag. */
  readonly waitingPageSeconds: number | undefined;
  /** slimfaas.dev/rewrite-paths: answers to /function/NAME get that prefix put in front of the app's own paths. */
  readonly rewritesPaths: boolean;
  readonly sync: CallPolicy;
  readonly async: CallPolicy;
  readonly publish: CallPolicy;
  readonly schedule: ScheduleSpec | undefined;
  readonly scale: ScaleSpec | undefined;
  readonly inject: boolean;
  /** slimfaas.dev/port, if given; {@link FunctionInfo.port} is the resolved one. */
  readonly port: number | undefined;
  /** slimfaas.dev/app-protocol, if given; else the port's name and probe decide (webhook/inject/user-containers.ts). */
  readonly appProtocol: AppProtocol | undefined;
  readonly queueLimit: number | undefined;
  readonly coldStartTimeoutSeconds: number | undefined;
  readonly sidecarImage: string | undefined;
  readonly sidecarResources: SidecarResources | undefined;
  /** slimfaas.dev/paused "true": the scaler leaves the workload alone. */
  readonly paused: boolean;
  /** slimfaas.dev/ordered "true": jobs run one at a time, in order. */
  readonly ordered: boolean;
  /** slimfaas.dev/retry-jitter: a job's next try comes up to so much later, at random. */
  readonly retryJitterPercent: number | undefined;
  /** slimfaas.dev/job-share: the part of a pod's places that jobs get while calls wait too. */
  readonly jobSharePercent: number | undefined;
  /** slimfaas.dev/direct-calls "true": its pods take calls of others than proxies. */
  readonly directCalls: boolean;
  /** slimfaas.dev/rate-limit, if given; else the proxy's default. */
  readonly rateLimit: RateLimitSpec | undefined;
  /** slimfaas.dev/auth, if given; else the proxy's default. */
  readonly auth: AuthSpec | undefined;
  /** slimfaas.dev/cors, if given; else the proxy's default. `none`: the app answers browsers itself. */
  readonly cors: CorsSpec | 'none' | undefined;
  /** slimfaas.dev/services: while no pod is ready, its own Services lead to the proxy, and a connection wakes it. */
  readonly services: 'wake' | 'ignore';
  readonly direct: DirectSpec;
}

/** Connections to the app that come past proxy and sidecar. */
export interface DirectSpec {
  /** slimfaas.dev/direct-traffic: they are use. */
  readonly isCounted: boolean;
  /** slimfaas.dev/direct-ignore: ports (`:9100`) and peers (`10.1.0.0/16`) whose connections are no use. */
  readonly ignored: readonly string[];
  /** slimfaas.dev/direct-idle: how long an open one counts on which no byte moves. */
  readonly idleSeconds: number;
}

export interface SidecarResources {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

/** One annotated workload. */
export interface FunctionInfo {
  readonly id: FunctionId;
  readonly kind: WorkloadKind;
  readonly uid: string;
  readonly spec: FunctionSpec;
  readonly faults: readonly AnnotationFault[];
  /** Why its pods get no sidecar; undefined: they do. Then it runs no jobs and hears no events. */
  readonly noSidecar: string | undefined;
  /** The user's HTTP port; undefined when neither annotation nor container names one. */
  readonly port: number | undefined;
  readonly createdAtMs: number;
}
