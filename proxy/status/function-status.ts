/** A function as `/status-functions` shows it: SlimFaas's fields by SlimFaas's names, and what it lacks. Pure. */
import type { AnnotationFault } from '../../common/function/spec.ts';
import type { Endpoint } from '../pods/endpoint.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionView } from '../functions/function-view.ts';

export interface FunctionStatus {
  readonly Name: string;
  readonly Namespace: string;
  readonly NumberReady: number;
  readonly NumberRequested: number;
  readonly PodType: string;
  readonly Visibility: string;
  /** Calls in all proxies: in this one now, in others as they reported within the last seconds. */
  readonly Waiting: number;
  readonly Running: number;
  /** Without names and troubles for a caller from outside the cluster. */
  readonly Pods: readonly { readonly Name?: string; readonly State: string; readonly Trouble?: string }[];
  /** How many more there are than are listed; not there when all are. */
  readonly PodsLeftOut?: number;
  readonly Faults: readonly AnnotationFault[];
}

/** Anybody may ask: an answer lists at most so many pods of a function. Faults are bounded where they are made. */
const MAX_PODS = 1_000;
/** Letters of a text that Kubernetes or an app wrote. */
const MAX_TROUBLE = 500;

export function functionStatus({ view, pods, everywhere }: FunctionEntry): FunctionStatus {
  return {
    Name: view.id.name,
    Namespace: view.id.namespace,
    NumberReady: pods.ready.filter((pod) => !pod.isAppDown).length,
    NumberRequested: view.replicas,
    PodType: view.kind,
    Visibility: view.spec.defaultVisibility,
    Waiting: everywhere.waiting,
    Running: everywhere.running,
    Pods: firstOf(pods.all, MAX_PODS).map(statusOfPod),
    ...(pods.size > MAX_PODS && { PodsLeftOut: pods.size - MAX_PODS }),
    Faults: pods.ready.length > 0 ? view.faults : [...view.faults, ...causesOf(view, pods.all)],
  };
}

/** What may leave the cluster: how many pods are in which state, and no name of any. */
export function forOutside(status: FunctionStatus): FunctionStatus {
  return { ...status, Pods: status.Pods.map(({ State }) => ({ State })), Faults: [] };
}

/** Why nobody is served, where no pod is ready: at most one cause, as they mostly fail alike. */
function causesOf(view: FunctionView, pods: Iterable<Endpoint>): AnnotationFault[] {
  const causes = [...pods].filter(isFailingPod).map((pod) => pod.view.trouble);
  const cause = view.blocked === undefined ? causes[0] : `no pod can be created: ${view.blocked}`;
  if (cause === undefined || view.replicas === 0) return [];
  const problem = cause.slice(0, MAX_TROUBLE);
  return [{ annotation: 'pods', value: '', problem, inForce: 'callers wait until it is mended' }];
}

/** A pod that fails is not one that starts: its callers would wait for nothing. */
function isFailingPod({ state, view }: Endpoint): boolean {
  return state.kind === 'starting' && view.isFailing;
}

function firstOf<T>(items: Iterable<T>, most: number): T[] {
  const first: T[] = [];
  for (const item of items) {
    if (first.length === most) break;
    first.push(item);
  }
  return first;
}

/** A pod whose app takes no calls is not ready, whatever Kubernetes says of it. */
function stateOf(pod: Endpoint): string {
  if (isFailingPod(pod)) return 'failing';
  return pod.isAppDown && pod.isReady ? 'starting' : pod.state.kind;
}

function statusOfPod(pod: Endpoint): FunctionStatus['Pods'][number] {
  // A pod whose sidecar reports ready is well: Kubernetes' own probe is only seconds behind.
  const Trouble = pod.suspicion ?? (pod.state.kind === 'ready' ? undefined : pod.view.trouble);
  const status = { Name: pod.view.name, State: stateOf(pod) };
  return Trouble === undefined ? status : { ...status, Trouble: Trouble.slice(0, MAX_TROUBLE) };
}

/** By namespace and name, so that a page does not jump. */
export function byName(a: FunctionStatus, b: FunctionStatus): number {
  return compare(a.Namespace, b.Namespace) || compare(a.Name, b.Name);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
