/**
 * Requests and limits of the sidecar: ours, or the user's where they give one. An API server refuses a
 * request above its limit, so what one of the two leaves open follows the other.
 */
import { parseQuantity } from '../../common/function/quantity.ts';
import type { SidecarResources } from '../../common/function/spec.ts';

interface Resources {
  readonly requests: Record<string, string>;
  readonly limits: Record<string, string>;
}

/**
 * An idle sidecar uses 25m and 64Mi (1 % of a core, 45–60 MB). 256Mi leaves room for its bounded queue and for 1 MiB
 * of replay buffer per running call. No CPU limit: throttling would stretch every call of the pod.
 */
const DEFAULTS: Resources = {
  requests: { cpu: '25m', memory: '64Mi' },
  limits: { memory: '256Mi' },
};

export function sidecarResources(given: SidecarResources = {}): Resources {
  const requests = { ...DEFAULTS.requests, ...given.requests };
  const limits = { ...DEFAULTS.limits, ...given.limits };
  for (const [name, limit] of Object.entries(limits)) {
    const request = requests[name];
    if (request === undefined || quantity(request) <= quantity(limit)) continue;
    // Both written by the user: theirs to resolve, and the API server's message says how.
    if (given.limits?.[name] === undefined) limits[name] = request;
    else if (given.requests?.[name] === undefined) requests[name] = limit;
  }
  return { requests, limits };
}

/**
 * NODE_OPTIONS that fit V8's heap into a container of `memoryLimit`. Half of it is for old objects, because buffers
 * and Node itself need the rest. Young objects get 8 MiB, up to three times over, where V8 would keep 16. Without the
 * first, V8 puts off collecting what 1,000 WebSockets left until it is 200 MB (docs/decisions/sidecar-weight.md).
 * @param memoryLimit a Kubernetes quantity; undefined: that of {@link DEFAULTS}
 */
function nodeOptions(memoryLimit = DEFAULTS.limits['memory'] ?? ''): string {
  const bytes = quantity(memoryLimit) || quantity(DEFAULTS.limits['memory'] as string); // 0: no limit
  const half = Math.floor(bytes / 2 / 2 ** 20);
  const heapMiB = Math.min(Math.max(half, LEAST_HEAP_MIB), MOST_HEAP_MIB);
  return `--max-semi-space-size=8 --max-old-space-size=${heapMiB}`;
}

/**
 * The variables that Node reads in a sidecar's container, by name.
 * @param memoryLimit a Kubernetes quantity; undefined: that of {@link DEFAULTS}
 */
export function sidecarMemory(memoryLimit?: string): Record<string, string> {
  return { NODE_OPTIONS: nodeOptions(memoryLimit) };
}

/** An idle sidecar's heap is 15. */
const LEAST_HEAP_MIB = 32;
/** Nothing in a sidecar grows to it; and `1E` of memory is a valid limit, but no option of Node's. */
const MOST_HEAP_MIB = 4_096;

/** As {@link parseQuantity}, and 0 for what is none: an API server has refused it, or will. */
export function quantity(text: string): number {
  return parseQuantity(text) ?? 0;
}
