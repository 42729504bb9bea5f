/**
 * The connections of one pod's network namespace, from one look at its tables to the next: which came from outside to
 * a port of the user's containers, and which are between two of the pod itself.
 *
 * Left out: the sidecar's own ports, ports and peers that the user names, and everything between addresses of the pod
 * (the sidecar's calls to the app, a probe that is a command, one container that calls another).
 */
import { isLoopback, TCP_STATE, toAddress, type Row } from './proc-net.ts';
import type { Ignored } from './ignored.ts';

/** States in which the app may still send something. */
const OPEN: ReadonlySet<number> = new Set([
  TCP_STATE.established,
  TCP_STATE.finWait1,
  TCP_STATE.closeWait,
  TCP_STATE.lastAck,
]);

/** As many as one look may see; where looks are cut, those of several would pile up. */
export const OUTSIDE_MAX = 10_000;

/** One that came from outside and is open. */
interface Outside {
  readonly firstListedMs: number;
  /** When a byte last moved, or when it was first listed. */
  movedAtMs: number;
  lastListedMs: number;
}

export interface ConnectionsOptions {
  readonly ownPorts: ReadonlySet<number>;
  readonly ignored: Ignored;
  /** What is open as long is no probe: longer than any of them may take. */
  readonly probeMs: number;
  /** What is open and has not moved a byte for so long does not count. */
  readonly idleMs: number;
}

/** What one look has found. */
export interface Look {
  /** Connections that are new since the last look and explained: within the pod, or ignored. */
  readonly explained: number;
  /** From outside, open, and in use by the rule above. */
  readonly open: number;
  /** Seen for the first time; only the next look can tell it from a probe. */
  readonly isAnyNew: boolean;
}

export class DirectConnections {
  readonly #options: ConnectionsOptions;
  readonly #outside = new Map<string, Outside>();
  #explained = new Set<string>();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** @param isWhole false: the tables were longer than what was read of them, so what is missing may still be open */
  look(rows: readonly Row[], isWhole: boolean, nowMs: number): Look {
    const { idleMs, probeMs } = this.#options;
    const explained = new Set<string>();
    let newlyExplained = 0;
    let isAnyNew = false;
    const listening = this.#listening(rows);
    for (const row of rows) {
      const what = this.#kindOf(row, listening);
      if (what === 'none') continue;
      const key = keyOf(row);
      if (what === 'outside') {
        const isNew = this.#see(key, row, nowMs);
        isAnyNew ||= isNew;
      } else if (!explained.has(key)) {
        explained.add(key);
        if (!this.#explained.has(key)) newlyExplained += 1;
      }
    }
    this.#explained = explained;
    let open = 0;
    for (const [key, { firstListedMs, movedAtMs, lastListedMs }] of this.#outside) {
      const isThere = lastListedMs === nowMs || (!isWhole && nowMs - movedAtMs < idleMs);
      if (!isThere) this.#outside.delete(key);
      else if (nowMs - firstListedMs > probeMs && nowMs - movedAtMs < idleMs) open += 1;
    }
    return { explained: newlyExplained, open, isAnyNew };
  }

  #listening(rows: readonly Row[]): ReadonlySet<number> {
    const ports = rows.flatMap(({ state, localPort }) => (state === TCP_STATE.listen ? [localPort] : []));
    return new Set(ports.filter((port) => !this.#options.ownPorts.has(port)));
  }

  #kindOf(row: Row, listening: ReadonlySet<number>): 'none' | 'explained' | 'outside' {
    const { ownPorts, ignored } = this.#options;
    const { localAddress, localPort, remoteAddress, remotePort, state } = row;
    if (state === TCP_STATE.listen || ownPorts.has(localPort) || ownPorts.has(remotePort)) return 'none';
    if (isLoopback(remoteAddress) || remoteAddress === localAddress) return 'explained';
    if (!listening.has(localPort)) return 'none';
    if (ignored.hasPort(localPort) || ignored.hasPeer(toAddress(remoteAddress))) return 'explained';
    return OPEN.has(state) ? 'outside' : 'none';
  }

  #see(key: string, { isMoving }: Row, nowMs: number): boolean {
    const known = this.#outside.get(key);
    if (!known) {
      if (this.#outside.size >= OUTSIDE_MAX) return false;
      this.#outside.set(key, { firstListedMs: nowMs, movedAtMs: nowMs, lastListedMs: nowMs });
      return true;
    }
    known.lastListedMs = nowMs;
    if (isMoving) known.movedAtMs = nowMs;
    return false;
  }
}

/** The same for both ends of a connection within the pod. */
function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Row): string {
  const local = `${localAddress}:${localPort}`;
  const remote = `${remoteAddress}:${remotePort}`;
  return local < remote ? `${local} ${remote}` : `${remote} ${local}`;
}
