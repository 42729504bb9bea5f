/**
 * The calls that the proxy holds, waiting or running: what has to end before it may go, and what a slow client is
 * found in. A client that neither sends the body it announced nor reads the answer it asked for keeps a place in a
 * pod for nothing. All calls are looked at every few seconds from here, so a call itself pays nothing for it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RunningList, type Listed } from '../../common/relay/index.ts';
import { every, type Clock } from '../clock.ts';

export interface ActiveCall extends Listed {
  /** When it was first found stuck; the list's own. */
  stuckSinceMs: number | undefined;
  /** Its connection ends with its answer: its client goes on elsewhere. */
  closeAfterAnswer(): void;
  /** Breaks it off. */
  destroy(): void;
  /** Whether it is the client's turn and nothing has come or gone since the last look. */
  isStuck(): boolean;
}

export class ActiveCalls {
  readonly #calls = new RunningList<ActiveCall>();
  readonly #idle: (() => void)[] = [];
  /** Connections cut for being slow, since the start. */
  slowClients = 0;

  get size(): number {
    return this.#calls.size;
  }

  add(call: ActiveCall): void {
    this.#calls.add(call);
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

  closeAfterAnswers(): void {
    this.#calls.forEach((call) => call.closeAfterAnswer());
  }

  /** Breaks off what is left. */
  destroyAll(): void {
    this.#calls.forEach((call) => call.destroy());
  }

  /** Cuts clients that have not moved a byte that they were asked for in `idleMs`. */
  cutSlow(now: number, idleMs: number): void {
    this.#calls.forEach((call) => {
      if (!call.isStuck()) call.stuckSinceMs = undefined;
      else if (now - (call.stuckSinceMs ??= now) >= idleMs) {
        this.slowClients++;
        call.destroy();
      }
    });
  }
}

/** A call over HTTP/1.1, which has its connection for itself while it lasts. */
export class NodeRequest implements ActiveCall {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  /** As of the last look. */
  #bytesRead = 0;
  #bytesSent = 0;
  stuckSinceMs: number | undefined = undefined;
  place = -1;

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.#req = req;
    this.#res = res;
  }

  closeAfterAnswer(): void {
    this.#res.shouldKeepAlive = false;
  }

  destroy(): void {
    this.#res.destroy();
  }

  isStuck(): boolean {
    const req = this.#req;
    const { bytesRead, bytesWritten, writableLength } = req.socket;
    const bytesSent = bytesWritten - writableLength;
    const hasMoved = bytesRead !== this.#bytesRead || bytesSent !== this.#bytesSent;
    this.#bytesRead = bytesRead;
    this.#bytesSent = bytesSent;
    if (hasMoved) return false;
    // A body that nobody reads now (the call waits, or the function is slow) is not the client's fault.
    // A job's body is read by an iterator: it waits for the client while it listens and has nothing left.
    const isAwaited =
      req.readableFlowing === true || (req.listenerCount('readable') > 0 && req.readableLength === 0);
    const owesBody = !req.complete && isAwaited;
    return owesBody || (writableLength > 0 && !this.#res.destroyed);
  }
}

/** Looks four times in `idleMs`, so that a client is cut at most a quarter late. Returns its release. */
export function watchSlowClients(calls: ActiveCalls, clock: Clock, idleMs: number): () => void {
  return every(clock, idleMs / 4, () => calls.cutSlow(clock.now(), idleMs));
}
