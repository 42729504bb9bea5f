/**
 * The calls that the proxy holds, waiting or running: what has to end before it may go, and what a slow client
 * is found in. A client who neither sends the body he announced nor reads the answer he asked for keeps a
 * place in a pod for nothing; looked at every few seconds from here, that costs a call nothing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RunningList, type Listed } from '../common/relay/index.ts';
import type { Clock } from './clock.ts';

export interface ActiveCall extends Listed {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** As of the last look. */
  bytesRead: number;
  bytesSent: number;
  stuckSinceMs: number | undefined;
}

export class ActiveCalls {
  readonly #calls = new RunningList<ActiveCall>();
  readonly #idle: (() => void)[] = [];
  /** Connections cut for being slow, since the start. */
  slowClients = 0;

  get size(): number {
    return this.#calls.size;
  }

  add(req: IncomingMessage, res: ServerResponse): ActiveCall {
    const call: ActiveCall = { req, res, place: -1, bytesRead: 0, bytesSent: 0, stuckSinceMs: undefined };
    this.#calls.add(call);
    return call;
  }

  remove(call: ActiveCall): void {
    this.#calls.remove(call);
    if (this.#calls.size > 0) return;
    for (const tell of this.#idle.splice(0)) tell();
  }

  /** Resolves when none is left. */
  async idle(): Promise<void> {
    if (this.#calls.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Each connection ends with its answer: its client goes on elsewhere. */
  closeAfterAnswers(): void {
    this.#calls.forEach(({ res }) => (res.shouldKeepAlive = false));
  }

  /** Breaks the connections of those who are left. */
  destroyAll(): void {
    this.#calls.forEach(({ res }) => void res.destroy());
  }

  /** Cuts clients who have not moved a byte that they were asked for in `idleMs`. */
  cutSlow(now: number, idleMs: number): void {
    this.#calls.forEach((call) => {
      if (!isStuck(call)) call.stuckSinceMs = undefined;
      else if (now - (call.stuckSinceMs ??= now) >= idleMs) {
        this.slowClients++;
        call.res.destroy();
      }
    });
  }
}

/** Looks whether it is the client's turn and nothing has come or gone since the last look. */
function isStuck(call: ActiveCall): boolean {
  const { req, res } = call;
  const { bytesRead, bytesWritten, writableLength } = req.socket;
  const bytesSent = bytesWritten - writableLength;
  const hasMoved = bytesRead !== call.bytesRead || bytesSent !== call.bytesSent;
  call.bytesRead = bytesRead;
  call.bytesSent = bytesSent;
  if (hasMoved) return false;
  // A body that nobody reads now (the call waits, or the function is slow) is not the client's fault.
  // A job's body is read by an iterator: it waits for the client while it listens and has nothing left.
  const isAwaited =
    req.readableFlowing === true || (req.listenerCount('readable') > 0 && req.readableLength === 0);
  const owesBody = !req.complete && isAwaited;
  return owesBody || (writableLength > 0 && !res.destroyed);
}

/** Looks four times in `idleMs`, so that a client is cut at most a quarter late. Returns its release. */
export function watchSlowClients(calls: ActiveCalls, clock: Clock, idleMs: number): () => void {
  let cancel: () => void;
  const look = (): void => {
    calls.cutSlow(clock.now(), idleMs);
    cancel = clock.after(idleMs / 4, look);
  };
  cancel = clock.after(idleMs / 4, look);
  return () => cancel();
}
