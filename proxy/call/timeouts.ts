/**
 * The proxy's clocks on a call in a pod. The sidecar enforces HttpTimeout, try by try. The proxy's limit is what all
 * its tries may take at most, so the proxy only ever cuts a sidecar that is gone for good.
 */
import type { CallPolicy } from '../../common/call/policy.ts';
import type { Timeouts } from '../../common/relay/types.ts';

/** A SYN that is lost comes again after 1 s; a pod that does not answer that one counts as gone. */
export const POD_CONNECT_MS = 1_500;
/** For the sidecar's own clock to run out first. */
const TIMEOUT_MARGIN_MS = 10_000;

export function callTimeouts(sync: CallPolicy, hasSidecar: boolean): Timeouts {
  return {
    connectMs: POD_CONNECT_MS,
    headMs: hasSidecar ? allTriesMs(sync) + TIMEOUT_MARGIN_MS : sync.httpTimeoutSeconds * 1000,
    // Server-sent events may be silent for hours; a client that does not read is cut by slow-clients.ts.
    idleMs: 0,
  };
}

/** Each try its HttpTimeout, and the pauses between: 120 s and 2, 4, 8 s make 494 s. */
function allTriesMs({ httpTimeoutSeconds, timeoutRetriesSeconds }: CallPolicy): number {
  const pauses = timeoutRetriesSeconds.reduce((sum, seconds) => sum + seconds, 0);
  return (httpTimeoutSeconds * (timeoutRetriesSeconds.length + 1) + pauses) * 1000;
}
