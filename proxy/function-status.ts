/** A function as `/status-functions` shows it: SlimFaas's fields by SlimFaas's names, and what it lacks. Pure. */
import type { AnnotationFault } from '../common/function-spec.ts';
import type { Endpoint } from './endpoint.ts';
import type { FunctionEntry } from './function-entry.ts';

export interface FunctionStatus {
  readonly Name: string;
  readonly Namespace: string;
  readonly NumberReady: number;
  readonly NumberRequested: number;
  readonly PodType: string;
  readonly Visibility: string;
  /** Calls in this proxy. */
  readonly Waiting: number;
  readonly Running: number;
  readonly Pods: readonly { readonly Name: string; readonly State: string; readonly Trouble?: string }[];
  readonly Faults: readonly AnnotationFault[];
}

export function functionStatus({ view, pods, throttler, account }: FunctionEntry): FunctionStatus {
  return {
    Name: view.id.name,
    Namespace: view.id.namespace,
    NumberReady: pods.ready.length,
    NumberRequested: view.replicas,
    PodType: view.kind,
    Visibility: view.spec.defaultVisibility,
    Waiting: throttler.waiting,
    Running: account.inFlight,
    Pods: [...pods.all].map(podStatus),
    Faults: view.faults,
  };
}

function podStatus(pod: Endpoint): FunctionStatus['Pods'][number] {
  // Ready by its sidecar's word, a pod is well: Kubernetes' own probe is only seconds behind.
  const Trouble = pod.suspicion ?? (pod.state.kind === 'ready' ? undefined : pod.view.trouble);
  const status = { Name: pod.view.name, State: pod.state.kind };
  return Trouble === undefined ? status : { ...status, Trouble };
}

/** By namespace and name, so that a page does not jump. */
export function byName(a: FunctionStatus, b: FunctionStatus): number {
  return compare(a.Namespace, b.Namespace) || compare(a.Name, b.Name);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
