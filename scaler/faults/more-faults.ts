/** What is wrong with a function beyond what its annotations say by themselves. */
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { HostPolicy } from '../../common/function/hosts.ts';
import { hostFaults } from './host-faults.ts';
import { COLD_START_TIMEOUT_MS, coldStartFault } from './cold-start-faults.ts';
import { appTroubleSinceMs, readyPods, troublesOf } from '../facts/pod-facts.ts';
import type { Fault, MoreFaults } from './faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { LoadAdvisor } from '../load/load-advisor.ts';
import type { Seen } from '../facts/surroundings.ts';

/** So long after a nudge its workload may be at 0: it is on its way up again, and as ill as before. */
const NUDGE_MS = 10_000;

export interface MoreFaultsDeps {
  readonly advisor: () => LoadAdvisor;
  /** Which hosts functions may claim; default: none. */
  readonly hosts?: HostPolicy;
  readonly now: () => number;
}

export function moreFaults(seen: Seen, { advisor, hosts, now }: MoreFaultsDeps): MoreFaults {
  const ofHosts = hostFaults(seen.world, hosts);
  return (workload, fn) => [
    ...ofHosts(fn),
    ...seen.dependencies.faultsOf(workload, fn),
    ...advisor().faultsOf(fn),
    ...failureOf(workload, seen),
    ...coldStartFaults(workload, fn, seen, now()),
  ];
}

function failureOf({ key, replicas }: Workload, { states }: Seen): Fault[] {
  const failure = states.get(key)?.failure;
  if (failure === undefined) return [];
  return [{ reason: 'NotDecided', message: `cannot be decided (${failure}); left at ${replicas} replicas` }];
}

function coldStartFaults(workload: Workload, { spec }: FunctionInfo, seen: Seen, nowMs: number): Fault[] {
  const state = seen.states.get(workload.key);
  const { nudgedAtMs, coldStartFault: former, coldStartSinceMs } = state ?? {};
  const isBetween = workload.replicas === 0 && nudgedAtMs !== undefined && nowMs - nudgedAtMs < NUDGE_MS;
  if (isBetween) return former ? [former] : [];
  const troubledSinceMs = appTroubleSinceMs(workload, seen);
  const seconds = spec.coldStartTimeoutSeconds;
  const fault = coldStartFault({
    replicas: workload.replicas,
    readyPods: readyPods(workload, seen),
    troubles: troublesOf(workload, seen),
    startingMs: coldStartSinceMs === undefined ? undefined : nowMs - coldStartSinceMs,
    troubledMs: troubledSinceMs === undefined ? undefined : nowMs - troubledSinceMs,
    timeoutMs: seconds === undefined ? COLD_START_TIMEOUT_MS : seconds * 1_000,
  });
  if (state) state.coldStartFault = fault;
  return fault ? [fault] : [];
}
