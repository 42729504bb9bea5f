/**
 * What is wrong with a function beyond what its annotations say by themselves. It owns the last cold start's fault of
 * each function, which stands while a nudge has its workload at 0.
 */
import type { HostPolicy } from '../../common/function/hosts.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { Observed } from '../observe/observer.ts';
import { appTroubleSinceMs, readyPods, troublesOf } from '../observe/pods.ts';
import type { Workload } from '../world/kube-objects.ts';
import { canaryFaults, canaryEndFault } from './canary-faults.ts';
import { COLD_START_TIMEOUT_MS, coldStartFault } from './cold-start-faults.ts';
import type { Fault } from './faults.ts';
import { hostFaults } from './host-faults.ts';
import type { ServiceFaults } from './service-faults.ts';

/** So long after a nudge its workload may be at 0: it is on its way up again, and as ill as before. */
const NUDGE_MS = 10_000;

export interface FaultSources {
  readonly observed: Observed;
  readonly dependencyFaultsOf: (workload: Workload, fn: FunctionInfo) => readonly Fault[];
  readonly triggerFaultsOf: (fn: FunctionInfo) => readonly Fault[];
  /** Why nothing could be decided at the last look. */
  readonly failureOf: (key: string) => string | undefined;
  readonly nudgedAtMs: (key: string) => number | undefined;
  /** Which hosts functions may claim; default: none. */
  readonly hosts?: HostPolicy | undefined;
  /** What is wrong with its Services; default: nobody looks at them. */
  readonly services?: ServiceFaults | undefined;
  readonly now: () => number;
}

export class MoreFaults {
  readonly #sources: FaultSources;
  readonly #hostFaultsOf: ReturnType<typeof hostFaults>;
  readonly #canaryFaultsOf: ReturnType<typeof canaryFaults>;
  readonly #coldStarts = new Map<string, Fault>();

  constructor(sources: FaultSources) {
    this.#sources = sources;
    this.#hostFaultsOf = hostFaults(sources.observed.world, sources.hosts);
    this.#canaryFaultsOf = canaryFaults(sources.observed.world);
  }

  of(workload: Workload, fn: FunctionInfo): readonly Fault[] {
    const { dependencyFaultsOf, triggerFaultsOf, services, now } = this.#sources;
    return [
      ...this.#hostFaultsOf(fn),
      ...this.#canaryFaultsOf(fn),
      ...canaryEndFault(workload, fn),
      ...dependencyFaultsOf(workload, fn),
      ...triggerFaultsOf(fn),
      ...this.#failure(workload),
      ...this.#coldStart(workload, fn, now()),
      ...(services?.of(workload.key, fn.spec) ?? []),
    ];
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#coldStarts.delete(key);
  }

  #failure({ key, replicas }: Workload): Fault[] {
    const failure = this.#sources.failureOf(key);
    if (failure === undefined) return [];
    return [
      { reason: 'NotDecided', message: `cannot be decided (${failure}); left at ${replicas} replicas` },
    ];
  }

  #coldStart(workload: Workload, { spec }: FunctionInfo, nowMs: number): Fault[] {
    const { observed, nudgedAtMs } = this.#sources;
    const { key, replicas } = workload;
    const nudgeMs = replicas === 0 ? nudgedAtMs(key) : undefined;
    const former = this.#coldStarts.get(key);
    if (nudgeMs !== undefined && nowMs - nudgeMs < NUDGE_MS) return former ? [former] : [];
    const startedMs = observed.of(key)?.coldStartSinceMs;
    const troubledSinceMs = appTroubleSinceMs(workload, observed);
    const seconds = spec.coldStartTimeoutSeconds;
    const fault = coldStartFault({
      replicas,
      readyPods: readyPods(workload, observed),
      troubles: troublesOf(workload, observed),
      startingMs: startedMs === undefined ? undefined : nowMs - startedMs,
      troubledMs: troubledSinceMs === undefined ? undefined : nowMs - troubledSinceMs,
      timeoutMs: seconds === undefined ? COLD_START_TIMEOUT_MS : seconds * 1_000,
    });
    if (fault) this.#coldStarts.set(key, fault);
    else if (former) this.#coldStarts.delete(key);
    return fault ? [fault] : [];
  }
}
