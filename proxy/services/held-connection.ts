/**
 * One connection that came by a Service of a sleeping function: held until a pod is there, then piped to it. It is
 * not a call of ours. No place, limit, visibility or header of slimfaas is on this way, because there is none when
 * the Service leads to the pod itself. What it holds is bounded: some bytes, and the time of a cold start.
 */
import { connect, type Socket } from 'node:net';
import { TCP_OPTIONS } from '../../common/relay/index.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { sendReasonOnSocket } from '../../common/runtime/reason-answer.ts';
import type { Clock } from '../clock.ts';
import { toldToAnybody } from '../edge/outside.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { Endpoint } from '../pods/endpoint.ts';
import { FirstBytesReader, looksLikeHttp } from './first-bytes.ts';
import { GoAwayBetweenFrames, isHttp2Preface } from './go-away.ts';

export interface HeldOptions {
  readonly socket: Socket;
  readonly entry: FunctionEntry;
  /** A port of the pod, or the name that a container gives it. */
  readonly target: string;
  readonly clock: Clock;
  /** Its socket is closed. */
  readonly onEnd: (result: HeldResult) => void;
}

/** `left`: its client went before a pod came. */
export type HeldResult = 'served' | 'refused' | 'left';

/** What is read of a client while it waits; Node reads one buffer more. */
const MOST_HELD = 16 * 1024;
const CONNECT_MS = 2_000;
const CONNECT_AGAIN_MS = 100;
/** A head that is not whole by then is passed on as it is. */
const HEAD_MS = 10_000;
/** A client that is refused at once has mostly not said anything yet. */
const FIRST_WORD_MS = 1_000;
/** For a client that does not close its half after the pod has closed its own. */
const HALF_OPEN_MS = 60_000;
/** By then the Service leads to the pod alone, so a client that connects again is connected to the pod. */
const GO_AWAY_MS = 5_000;

export class HeldConnection {
  readonly #options: HeldOptions;
  readonly #arrivedMs: number;
  #held: Buffer = Buffer.alloc(0);
  readonly #reader = new FirstBytesReader();
  #upstream: Socket | undefined;
  readonly #answers = new GoAwayBetweenFrames();
  #cancelGoAway: () => void = () => undefined;
  #leave: () => void = () => undefined;
  #cancel: () => void = () => undefined;
  #isPiped = false;
  #isOver = false;
  #result: HeldResult = 'left';

  constructor(options: HeldOptions) {
    this.#options = options;
    this.#arrivedMs = options.clock.now();
    const { socket } = options;
    socket.on('data', this.#take);
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => {
      this.#end();
      options.onEnd(this.#isPiped ? 'served' : this.#result);
    });
    socket.once('end', () => this.#clientEnded());
    this.#answers.on('error', () => socket.resetAndDestroy());
  }

  /** True once its bytes go to a pod. */
  get isServed(): boolean {
    return this.#isPiped;
  }

  start(): void {
    const { entry } = this.#options;
    if (this.#isOver) return;
    this.#leave = entry.firstPod.join({
      arrivedMs: this.#arrivedMs,
      come: (endpoint) => this.#connect(endpoint),
      refused: (error) => this.#refuse(error),
    });
  }

  destroy(): void {
    this.#options.socket.destroy();
  }

  /** It ends its half. Where nothing waits for an answer, or it is HTTP, that means that it has gone. */
  #clientEnded(): void {
    if (this.#isPiped) return this.#passOn(true);
    if (this.#held.length === 0 || looksLikeHttp(this.#held)) this.destroy();
  }

  readonly #take = (chunk: Buffer): void => {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (this.#isPiped) this.#passOn(false);
    else if (this.#held.length >= MOST_HELD) this.#options.socket.pause();
  };

  #connect(endpoint: Endpoint): void {
    const { target, clock } = this.#options;
    const port = endpoint.portOf(target);
    if (port === undefined) {
      const message = `pod ${endpoint.view.name} has no TCP port of the name ${target}, which the Service asks for`;
      return this.#refuse(new ReasonError('upstream-failed', message));
    }
    const upstream = connect({ host: endpoint.host, port, allowHalfOpen: true, ...TCP_OPTIONS });
    this.#upstream = upstream;
    const cancel = clock.after(CONNECT_MS, () => upstream.destroy());
    upstream.once('connect', () => {
      cancel();
      this.#pipe(upstream);
    });
    upstream.on('error', () => undefined); // 'close' follows
    upstream.once('close', (hadError) => {
      cancel();
      const { socket } = this.#options;
      if (!this.#isPiped) this.#again();
      // Closed, an answer without a length would pass for a whole one.
      else if (hadError) socket.resetAndDestroy();
      else if (this.#answers.readableEnded) socket.destroySoon();
      else this.#answers.once('end', () => socket.destroySoon());
    });
  }

  /** Nothing was sent yet, so another pod may have it, or the same one a moment later. */
  #again(): void {
    this.#upstream = undefined;
    if (!this.#isOver) this.#cancel = this.#options.clock.after(CONNECT_AGAIN_MS, () => this.#startAgain());
  }

  #startAgain(): void {
    const { entry, clock } = this.#options;
    const { coldStartMs } = entry.firstPod.limits;
    if (clock.now() - this.#arrivedMs < coldStartMs) return this.start();
    const message = `a pod is ready and does not take connections on port ${this.#options.target}`;
    this.#refuse(new ReasonError('cold-start-timeout', message));
  }

  #pipe(upstream: Socket): void {
    if (this.#isOver) return void upstream.destroy();
    const { socket, entry, clock } = this.#options;
    this.#isPiped = true;
    entry.account.opened(clock.now());
    upstream.pipe(this.#answers).pipe(socket);
    upstream.once('end', () => {
      this.#cancelGoAway();
      this.#cancel();
      this.#cancel = clock.after(HALF_OPEN_MS, () => socket.destroy());
    });
    this.#cancel = clock.after(HEAD_MS, () => this.#passOn(true));
    this.#passOn(socket.readableEnded);
    socket.resume();
  }

  /** @param isLate what is not understood by now goes as it is */
  #passOn(isLate: boolean): void {
    const { socket } = this.#options;
    const upstream = this.#upstream;
    if (!upstream || socket.listenerCount('data', this.#take) === 0) return;
    const first = this.#reader.read(this.#held);
    if (first.kind === 'more' && !isLate) return;
    socket.off('data', this.#take);
    if (!isLate) this.#cancel();
    if (isHttp2Preface(this.#held)) this.#endHttp2Soon();
    if (first.kind === 'http') upstream.write(first.head);
    const rest = first.kind === 'http' ? this.#held.subarray(first.length) : this.#held;
    if (rest.length > 0) upstream.write(rest);
    this.#held = Buffer.alloc(0);
    socket.pipe(upstream);
  }

  #endHttp2Soon(): void {
    this.#cancelGoAway = this.#options.clock.after(GO_AWAY_MS, () => this.#answers.goAway());
  }

  /** A client that says nothing may speak anything: it gets no words that it would not understand. */
  #refuse(error: ReasonError): void {
    const { socket, clock } = this.#options;
    this.#result = 'refused';
    this.#end();
    if (this.#held.length > 0) return this.#answer(error);
    const cancel = clock.after(FIRST_WORD_MS, () => socket.destroy());
    socket.once('close', cancel);
    socket.once('data', () => {
      cancel();
      this.#answer(error);
    });
  }

  #answer(error: ReasonError): void {
    const { socket } = this.#options;
    socket.off('data', this.#take);
    if (!looksLikeHttp(this.#held)) return void socket.destroy();
    socket.resume(); // what is unread would make the end a reset, and the answer would be lost
    // Who calls by a Service may be outside: nobody knows here.
    sendReasonOnSocket(socket, toldToAnybody(error));
  }

  /** It waits and passes on no longer. Its socket may be open still. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leave();
    this.#cancel();
    this.#cancelGoAway();
    this.#upstream?.destroy();
    this.#answers.destroy();
    const { entry, clock } = this.#options;
    if (this.#isPiped) entry.account.left(clock.now());
  }
}
