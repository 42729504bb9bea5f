/**
 * The stream from a WebSocket server to its client, into which a close frame can be put. It is put at once between
 * two frames, else after the frame under way. What the server sends after it is dropped, because nothing may follow a
 * close frame. The client's answer reaches the server, which so learns of the end in its usual way.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { closeFrame, FrameTracker } from './websocket-frames.ts';

type State =
  | { readonly kind: 'open' }
  /** Waiting for the frame under way to end. */
  | { readonly kind: 'closing'; readonly frame: Buffer }
  | { readonly kind: 'closed' };

export class FrameFilter extends Transform {
  readonly #tracker = new FrameTracker();
  #state: State = { kind: 'open' };

  /** Sends a close frame to the client; does nothing when either side has sent one already. */
  sayClose(code: number, reason: string): void {
    if (this.#state.kind !== 'open' || this.#tracker.hasClosed || this.writableEnded) return;
    this.#state = { kind: 'closing', frame: closeFrame(code, reason) };
    if (this.#tracker.isAtBoundary) this.#putClose();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#state.kind === 'open') {
      this.#tracker.advance(chunk);
      return done(null, chunk);
    }
    if (this.#state.kind === 'closed') return done();
    this.push(chunk.subarray(0, this.#tracker.advance(chunk, true)));
    if (this.#tracker.isAtBoundary) this.#putClose();
    done();
  }

  #putClose(): void {
    if (this.#state.kind !== 'closing') return;
    const { frame } = this.#state;
    this.#state = { kind: 'closed' };
    this.push(frame);
  }
}
