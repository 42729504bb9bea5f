/** The columns of `kubectl get pods`; STATUS is a summary that only the server knows how to write. */
import { age } from './table-cells.ts';
import type { Column } from './table-cells.ts';
import type { KubeObject } from '../objects/types.ts';

interface ContainerState {
  readonly waiting?: { readonly reason?: string };
  readonly running?: object;
  readonly terminated?: {
    readonly reason?: string;
    readonly exitCode?: number;
    readonly signal?: number;
    readonly finishedAt?: string;
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly started?: boolean;
  readonly restartCount?: number;
  readonly state?: ContainerState;
  readonly lastState?: ContainerState;
}

function statuses(pod: KubeObject, field: 'containerStatuses' | 'initContainerStatuses'): ContainerStatus[] {
  return pod.status?.[field] ?? [];
}

/** Native sidecars count as containers. */
function sidecarNames(pod: KubeObject): Set<string> {
  const init = (pod.spec.initContainers ?? []) as { name: string; restartPolicy?: string }[];
  return new Set(init.filter(({ restartPolicy }) => restartPolicy === 'Always').map(({ name }) => name));
}

function serving(pod: KubeObject): ContainerStatus[] {
  const sidecars = sidecarNames(pod);
  const init = statuses(pod, 'initContainerStatuses').filter(({ name }) => sidecars.has(name));
  return [...init, ...statuses(pod, 'containerStatuses')];
}

function ready(pod: KubeObject): string {
  const total = pod.spec.containers.length + sidecarNames(pod).size;
  return `${serving(pod).filter((status) => status.ready).length}/${total}`;
}

function terminatedText({ reason, signal, exitCode }: NonNullable<ContainerState['terminated']>): string {
  return reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);
}

/** `Init:1/2`, `Init:Error` …; undefined once initialisation is over. */
function initReason(pod: KubeObject): string | undefined {
  const sidecars = sidecarNames(pod);
  const list = statuses(pod, 'initContainerStatuses');
  for (const [index, { name, state, started }] of list.entries()) {
    if (state?.terminated?.exitCode === 0 || (sidecars.has(name) && started)) continue;
    if (state?.terminated) return `Init:${terminatedText(state.terminated)}`;
    const waiting = state?.waiting?.reason;
    if (waiting && waiting !== 'PodInitializing') return `Init:${waiting}`;
    return `Init:${index}/${pod.spec.initContainers.length}`;
  }
  return undefined;
}

/**
 * The first container that is in trouble gives the pod its reason, so the list is read backwards and the last
 * reason wins. A pod that has completed containers and a running one is running.
 */
function containerReason(pod: KubeObject): string | undefined {
  let reason: string | undefined;
  for (const { state } of statuses(pod, 'containerStatuses').toReversed()) {
    if (state?.waiting?.reason) reason = state.waiting.reason;
    else if (state?.terminated) reason = terminatedText(state.terminated);
  }
  const isRunning = statuses(pod, 'containerStatuses').some(({ ready, state }) => ready && state?.running);
  return reason === 'Completed' && isRunning ? 'Running' : reason;
}

/** Being deleted outweighs everything; then initialisation, then containers, then the phase. */
function statusColumn(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp !== undefined) {
    return pod.status?.reason === 'NodeLost' ? 'Unknown' : 'Terminating';
  }
  const plain: string = pod.status?.reason ?? pod.status?.phase ?? 'Pending';
  if (plain === 'Pending' && !pod.spec.nodeName) return plain;
  return initReason(pod) ?? containerReason(pod) ?? plain;
}

/** `3 (10s ago)`: the time tells a crash loop from old history. */
function restarts(pod: KubeObject, nowMs: number): string {
  const all = serving(pod);
  const total = all.reduce((sum, { restartCount = 0 }) => sum + restartCount, 0);
  const times = all.map(({ lastState }) => lastState?.terminated?.finishedAt ?? '').toSorted();
  const last = times.at(-1);
  return total > 0 && last ? `${total} (${age(last, nowMs)} ago)` : String(total);
}

export const podColumns: readonly Column[] = [
  { name: 'Ready', cell: ready },
  { name: 'Status', cell: statusColumn },
  { name: 'Restarts', cell: restarts },
  { name: 'Age', cell: ({ metadata }, now) => age(metadata.creationTimestamp, now) },
  { name: 'IP', priority: 1, cell: ({ status }) => status?.podIP ?? '<none>' },
  { name: 'Node', priority: 1, cell: ({ spec }) => spec.nodeName || '<none>' },
];
