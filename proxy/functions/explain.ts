/** Why a function has no pod that answers, for those who waited in vain. Pure. */
import type { EndpointState } from '../pods/endpoint.ts';
import type { FunctionView } from './function-view.ts';

export interface ExplainedPod {
  readonly state: EndpointState;
  readonly suspicion: string | undefined;
  readonly view: {
    readonly name: string;
    readonly trouble: string | undefined;
    /** Kubernetes says that it cannot come up as it is. */
    readonly isFailing?: boolean;
    readonly port: number | undefined;
  };
}

/** At most that many pods are named: they mostly fail alike. */
const NAMED_PODS = 2;

export function explainNoPod(fn: FunctionView, pods: Iterable<ExplainedPod>): string {
  const here = [...pods].filter((pod) => pod.state.kind === 'starting' || pod.state.kind === 'ready');
  const causes = here.map(causeOf).filter((cause) => cause !== undefined);
  if (causes.length > 0) return [...new Set(causes)].slice(0, NAMED_PODS).join('; ');
  if (fn.blocked) return `no pod could be created: ${fn.blocked}`;
  if (here.length > 0) return `${here.length} started but none got ready in time`;
  if (fn.kind === 'Pod')
    return 'the pod is gone, and nobody scales a pod without a Deployment or StatefulSet';
  if (fn.replicas > 0)
    return `${fn.replicas} replicas are wanted but no pod was created: kubectl describe the ${fn.kind} for why`;
  if (fn.spec.paused) return 'it is scaled to zero and slimfaas.dev/paused keeps it there';
  if (fn.spec.dependsOn.length > 0)
    return `no pod was created: the scaler did not act, or what it depends on is not ready (${fn.spec.dependsOn.join(', ')})`;
  return 'no pod was created: the scaler did not act; is it running?';
}

function causeOf({ state, suspicion, view }: ExplainedPod): string | undefined {
  // An image that cannot be pulled is why its port refuses.
  if (view.isFailing === true && view.trouble !== undefined) return view.trouble;
  if (suspicion !== undefined) return `pod ${view.name} does not take calls: ${suspicion}`;
  if (view.trouble !== undefined) return view.trouble;
  if (state.kind === 'starting' && view.port === undefined)
    return `pod ${view.name} has no sidecar and declares no port: set slimfaas.dev/port`;
  return undefined;
}
