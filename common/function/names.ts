/**
 * Every name that two parts, a manifest or a user must agree on: annotations, labels, headers, ports.
 * One place, so that a rename is one edit and a typo is a type error.
 */

/** Labels and annotations that this system writes on pods. */
export const FUNCTION_LABEL = 'slimfaas.dev/function';
/** `{"version","hash"}` of the injection: present exactly on pods that carry our sidecar. */
export const INJECT_STATUS_ANNOTATION = 'slimfaas.dev/status';
export const SIDECAR_CONTAINER = 'slimfaas-sidecar';

/** Sidecar ports, in the pod's network. */
export const SIDECAR_DATA_PORT = 15080;
export const SIDECAR_ADMIN_PORT = 15081;
export const PROXY_PORT = 5000;

/** Headers, spelled as they are sent; compare lower-cased. */
export const HEADER = {
  /** On every answer that the system itself gave. */
  reason: 'SlimFaas-Reason',
  /** Sidecar to proxy: why the call comes back; a {@link RefusalReason}. */
  refused: 'slimfaas-refused',
  /** Sidecar to proxy, beside `slimfaas-refused: starting`: what the last check of the app found. */
  trouble: 'slimfaas-trouble',
  /** Sidecar to proxy, on every answer: `running/limit`. */
  load: 'slimfaas-load',
  /** Proxy to sidecar: `none` asks for a refusal instead of a place in the sidecar's queue. */
  queue: 'slimfaas-queue',
  /** Proxy to sidecar: the pod that is meant, `namespace/name`. Another pod refuses with `elsewhere`. */
  for: 'slimfaas-for',
  /** Proxy to sidecar: the id of the place that was granted to this call (common/places/protocol.ts). */
  place: 'slimfaas-place',
  /** Proxy to sidecar, where it told of itself (proxy/pods/pod-ready-route.ts): calls that wait or run, as far as is known. */
  callers: 'slimfaas-callers',
  /** Proxy to sidecar, with the first request of a connection: that a proxy has opened it (common/proof/proof.ts). */
  proof: 'slimfaas-proof',
  /** gRPC caller to proxy: which function, where the path cannot say it. */
  function: 'SlimFaas-Function',
  elementId: 'SlimFaas-Element-Id',
  tryNumber: 'SlimFaas-Try-Number',
  lastTry: 'SlimFaas-Last-Try',
} as const;

/**
 * Why the sidecar sent a request back untouched. `starting`: the app has not passed its probe yet; no place
 * coming free will change that, only a `ready` message or time. `elsewhere`: the call is for another pod, which had
 * this address before. `crashed`: the app is down, and may have seen the call before that. `unproven`: the connection
 * has not shown that it is a proxy's.
 */
export const REFUSALS = ['full', 'draining', 'starting', 'elsewhere', 'crashed', 'unproven'] as const;
export type RefusalReason = (typeof REFUSALS)[number];
