/** Pods and functions as plain values, for tests of what needs no sockets. */
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { FunctionSpec } from '../../../common/function/spec.ts';
import type { FunctionView } from '../../../proxy/functions/function-view.ts';
import type { PodView } from '../../../proxy/pods/pod-view.ts';

export function specOf(annotations: Record<string, string> = {}): FunctionSpec {
  return parseAnnotations({ 'SlimFaas/Function': 'true', ...annotations }).spec;
}

export function podView(changes: Partial<PodView> = {}): PodView {
  const name = changes.name ?? 'fib-1';
  return {
    namespace: 'default',
    name,
    uid: `uid of ${name}`,
    ip: '10.0.0.1',
    addresses: [changes.ip ?? '10.0.0.1'].filter((ip) => ip !== ''),
    owner: { kind: 'Deployment', id: { namespace: 'default', name: 'fib' } },
    spec: specOf(),
    hasSidecar: true,
    token: undefined,
    proxyKeys: [],
    port: 15080,
    isKubeReady: true,
    isTerminating: false,
    isEnded: false,
    isHostNetwork: false,
    trouble: undefined,
    isFailing: false,
    ...changes,
  };
}

export function functionView(changes: Partial<FunctionView> = {}): FunctionView {
  const id = changes.id ?? { namespace: 'default', name: 'fib' };
  const kind = changes.kind ?? 'Deployment';
  return {
    id,
    kind,
    owner: { kind: kind === 'Pod' ? 'Other' : kind, id },
    spec: specOf(),
    createdAtMs: 0,
    faults: [],
    noSidecar: undefined,
    replicas: 0,
    blocked: undefined,
    ...changes,
  };
}
