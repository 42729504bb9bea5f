/**
 * The proxy's Prometheus metrics. Waiting calls are exported by the proxy that holds them and only by it, so
 * that a sum over replicas counts none twice. Labels: namespace and function, never a pod or a path.
 *
 * Room `proxy/metrics`: Counts for Prometheus and for activity reports.
 * Comes in: what happens to calls.
 * Goes out: series, one activity message per second.
 */
import { LATENCY_BUCKETS, LatencyCounts } from '../../common/runtime/latency-counts.ts';
import {
  Counter,
  Histogram,
  latencyHistogram,
  readCounter,
  type MetricLabels,
  type Registry,
} from '../../common/runtime/metrics.ts';
import { REFUSALS } from '../../common/function/names.ts';
import type { EdgeLimit } from '../../common/relay/index.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { CallEnd } from './call-end.ts';

const FUNCTION = ['namespace', 'function'] as const;

/** One function's children of all metrics. */
export interface FunctionSeries {
  placed(waitedSeconds: number, wasCold: boolean): void;
  ended(end: CallEnd, tookSeconds: number): void;
  /** The sidecar sent the call back: `full`, `draining`, `starting`. */
  refused(why: string): void;
  /** The call was sent again: `connect`, `head`. */
  retried(why: string): void;
  /** The proxy answered by itself. */
  failed(reason: string): void;
  /** No pod came, and the caller got what is said for that: `answer`, `function`. */
  fellBack(kind: string): void;
  /** A job was accepted, so long after its request's head. */
  jobAccepted(seconds: number): void;
  jobRefused(reason: string): void;
  /** An event is on its way to this function: to its `pods`, or in its `queue`. */
  eventAccepted(way: 'pods' | 'queue'): void;
  remove(): void;
}

/** For a function that is gone. */
export const NO_SERIES: FunctionSeries = Object.freeze({
  placed: () => undefined,
  ended: () => undefined,
  refused: () => undefined,
  retried: () => undefined,
  failed: () => undefined,
  fellBack: () => undefined,
  jobAccepted: () => undefined,
  jobRefused: () => undefined,
  eventAccepted: () => undefined,
  remove: () => undefined,
});

/** What a client may meet before its request is a function's. */
export type ClientLimit = EdgeLimit | 'status-readers';

export interface ProxyMetrics {
  series(id: FunctionId): FunctionSeries;
  /** A client met a limit before it named a function. */
  limited(limit: ClientLimit): void;
  /** An event that was not published, or not to everyone. */
  eventRefused(reason: string): void;
}

export function createProxyMetrics(registry: Registry): ProxyMetrics {
  const own = (name: string, help: string, extra: readonly string[]) =>
    new Counter({ name, help, labelNames: [...FUNCTION, ...extra], registers: [registry] });
  const seconds = (name: string, help: string) =>
    new Histogram({ name, help, labelNames: FUNCTION, buckets: [...LATENCY_BUCKETS], registers: [registry] });
  const all = {
    calls: registerCallCounts(registry),
    refusals: own('slimfaas_proxy_refusals_total', 'Calls that a sidecar sent back untouched', ['why']),
    retries: own('slimfaas_proxy_retries_total', 'Calls sent again after a connection failed', ['phase']),
    errors: own('slimfaas_proxy_errors_total', "Answers of the proxy's own, by reason", ['reason']),
    fallbacks: own('slimfaas_proxy_fallbacks_total', 'Calls without a pod that got a fallback', ['kind']),
    coldStarts: own('slimfaas_proxy_cold_starts_total', 'Calls that waited for a first pod and got it', []),
    jobs: own('slimfaas_proxy_jobs_accepted_total', 'Jobs that JetStream confirmed', []),
    jobRefusals: own('slimfaas_proxy_jobs_refused_total', 'Jobs that were not accepted, by reason', [
      'reason',
    ]),
    events: own(
      'slimfaas_proxy_events_total',
      'Events on their way: to the pods of a function, or in its queue',
      ['way'],
    ),
    jobAccept: seconds(
      'slimfaas_proxy_job_accept_seconds',
      "From a job's head to JetStream's confirmation, its body included",
    ),
    coldStart: seconds(
      'slimfaas_proxy_cold_start_seconds',
      'From a call to its place, where there was no pod',
    ),
  };
  const limited = new Counter({
    name: 'slimfaas_proxy_limited_total',
    help: 'Requests and connections refused at the door, by limit (docs/internals/architecture.md)',
    labelNames: ['limit'],
    registers: [registry],
  });
  const eventsRefused = new Counter({
    name: 'slimfaas_proxy_events_refused_total',
    help: 'Events that were not published, or not to all their functions, by reason',
    labelNames: ['reason'],
    registers: [registry],
  });
  return {
    series: (id) => makeSeries(all, id),
    limited: (limit) => limited.inc({ limit }),
    eventRefused: (reason) => eventsRefused.inc({ reason }),
  };
}

/** What every call counts, as plain numbers: see {@link readCounter}. */
class CallCounts {
  readonly labels: MetricLabels;
  readonly wait = new LatencyCounts();
  readonly duration = new LatencyCounts();
  /** By the first digit of the status; 0: the caller left. */
  readonly ended = [0, 0, 0, 0, 0, 0];

  constructor(labels: MetricLabels) {
    this.labels = labels;
  }
}

/** @returns those that are shown, for each function to add its own */
function registerCallCounts(registry: Registry): Set<CallCounts> {
  const shown = new Set<CallCounts>();
  readCounter(registry, {
    name: 'slimfaas_proxy_requests_total',
    help: 'Calls that ended, by class of status; cancelled: the caller left',
    labelNames: [...FUNCTION, 'code'],
    read: () => [...shown].flatMap(endedByCode),
  });
  latencyHistogram(registry, {
    name: 'slimfaas_proxy_request_duration_seconds',
    help: "From a call's head to the end of its answer",
    labelNames: FUNCTION,
    read: () => [...shown].flatMap(({ labels, duration }) => unlessEmpty(labels, duration)),
  });
  latencyHistogram(registry, {
    name: 'slimfaas_proxy_wait_seconds',
    help: 'From a call to its place in a pod',
    labelNames: FUNCTION,
    read: () => [...shown].flatMap(({ labels, wait }) => unlessEmpty(labels, wait)),
  });
  return shown;
}

/** A function that only gets jobs costs no series of calls. */
function unlessEmpty(labels: MetricLabels, latency: LatencyCounts): [MetricLabels, LatencyCounts][] {
  return latency.isEmpty ? [] : [[labels, latency]];
}

function endedByCode({ labels, ended }: CallCounts): [MetricLabels, number][] {
  return ended.flatMap((count, digit): [MetricLabels, number][] =>
    count === 0 ? [] : [[{ ...labels, code: digit === 0 ? 'cancelled' : `${digit}xx` }, count]],
  );
}

interface AllMetrics {
  readonly calls: Set<CallCounts>;
  readonly refusals: Counter;
  readonly retries: Counter;
  readonly errors: Counter;
  readonly fallbacks: Counter;
  readonly coldStarts: Counter;
  readonly coldStart: Histogram;
  readonly jobs: Counter;
  readonly jobRefusals: Counter;
  readonly jobAccept: Histogram;
  readonly events: Counter;
}

function makeSeries(all: AllMetrics, { namespace, name }: FunctionId): FunctionSeries {
  const labels = { namespace, function: name };
  const errors = new Set<string>();
  const calls = new CallCounts(labels);
  const { ended, wait, duration } = calls;
  all.calls.add(calls);
  return {
    placed(waitedSeconds, wasCold) {
      wait.observe(waitedSeconds);
      if (!wasCold) return;
      all.coldStarts.inc(labels);
      all.coldStart.observe(labels, waitedSeconds);
    },
    ended(end, tookSeconds) {
      const digit = end.kind === 'status' ? Math.min(5, Math.floor(end.status / 100)) : 0; // 999 is a 5xx (RFC 9110 §15)
      ended[digit] = (ended[digit] ?? 0) + 1;
      duration.observe(tookSeconds);
    },
    refused: (why) => all.refusals.inc({ ...labels, why }),
    retried: (phase) => all.retries.inc({ ...labels, phase }),
    failed(reason) {
      errors.add(reason);
      all.errors.inc({ ...labels, reason });
    },
    fellBack: (kind) => all.fallbacks.inc({ ...labels, kind }),
    jobAccepted(tookSeconds) {
      all.jobs.inc(labels);
      all.jobAccept.observe(labels, tookSeconds);
    },
    jobRefused: (reason) => all.jobRefusals.inc({ ...labels, reason }),
    eventAccepted: (way) => all.events.inc({ ...labels, way }),
    remove() {
      all.calls.delete(calls);
      removeSeries(all, labels, errors);
    },
  };
}

/** Reasons for which a job is not accepted. */
const JOB_REFUSALS = ['bad-request', 'body-too-large', 'queue-full', 'queue-unavailable', 'error'];

/** For a function that is gone; otherwise each one ever made would be kept. */
function removeSeries(
  all: AllMetrics,
  labels: { namespace: string; function: string },
  errors: Iterable<string>,
): void {
  for (const histogram of [all.coldStart, all.jobAccept]) histogram.remove(labels);
  for (const why of REFUSALS) all.refusals.remove({ ...labels, why });
  for (const phase of ['connect', 'send', 'head']) all.retries.remove({ ...labels, phase });
  for (const reason of JOB_REFUSALS) all.jobRefusals.remove({ ...labels, reason });
  for (const way of ['pods', 'queue']) all.events.remove({ ...labels, way });
  for (const kind of ['answer', 'function']) all.fallbacks.remove({ ...labels, kind });
  for (const reason of errors) all.errors.remove({ ...labels, reason });
  for (const counter of [all.coldStarts, all.jobs]) counter.remove(labels);
}
