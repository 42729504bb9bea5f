/**
 * An upgrade in the sidecar: admitted like a call, and from then on running for as long as it is open. An app that is
 * not listening is tried again like for a call, with the place given back meanwhile. Once the app has seen the
 * request there is no second try, because nobody knows what an upgrade did.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Place } from '../limits/breaker.ts';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { HEADER } from '../../common/function/names.ts';
import { asReason, sendReasonOnSocket } from '../../common/runtime/reason-answer.ts';
import { isWrongProtocol, type RequestHead } from '../../common/relay/index.ts';
import { connectTo } from '../../common/tunnel/connect.ts';
import type { EarlyBytes } from '../../common/tunnel/early-bytes.ts';
import { openTunnel, type TunnelOutcome } from '../../common/tunnel/tunnel.ts';
import { isRefused } from '../app/app-down.ts';
import type { SidecarContext } from '../context.ts';
import { APP_CONNECT_MS } from './call-failures.ts';
import type { OpenTunnels } from './open-tunnels.ts';
import { fromTheApp } from './own-headers.ts';
import { refuseUpgrade } from './refuse.ts';
import { delayAfterUnreached } from './retry.ts';
import { codeClassOf, type CodeClass } from '../stats.ts';

export interface SidecarUpgradeRequest {
  readonly req: IncomingMessage;
  readonly head: RequestHead;
  readonly socket: Duplex;
  readonly early: EarlyBytes;
}

export class SidecarUpgrade {
  readonly #context: SidecarContext;
  readonly #request: SidecarUpgradeRequest;
  readonly #tunnels: OpenTunnels;
  readonly #begunAt = performance.now();
  #place: Place | undefined;
  #hasStarted = false;

  constructor(context: SidecarContext, tunnels: OpenTunnels, request: SidecarUpgradeRequest) {
    this.#context = context;
    this.#tunnels = tunnels;
    this.#request = request;
  }

  /** With a place in hand, or waiting in line for one; never rejects. */
  async run(place: Place | undefined): Promise<void> {
    const endInFlight = this.#context.inFlight.begin();
    try {
      this.#place = place ?? (await this.#enter(undefined));
      this.#hasStarted = true;
      this.#context.stats.start();
      const upstream = await this.#connect(place !== undefined);
      if (upstream) this.#finish(await this.#carry(upstream));
      else this.#giveBack();
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#release();
      endInFlight();
    }
  }

  async #enter(arrival: number | undefined): Promise<Place> {
    const { left } = this.#request.early;
    const place = await this.#context.admission.enter(left, arrival);
    if (left.aborted) place.release();
    left.throwIfAborted();
    return place;
  }

  /** Its proxy has another pod, or waits for this one. */
  #giveBack(): void {
    this.#release();
    refuseUpgrade(this.#context, this.#request.socket, 'starting');
    this.#count('cancelled');
  }

  /** Undefined: it came from a proxy, and the app is not there. */
  async #connect(isProxys: boolean): Promise<Socket | undefined> {
    const { left } = this.#request.early;
    const { app, hop } = this.#context;
    const failingSince = performance.now();
    for (let failures = 1; ; failures++) {
      try {
        return await connectTo(app, APP_CONNECT_MS, left, hop.dial);
      } catch (error) {
        left.throwIfAborted();
        const failure = hop.dial?.failureOf(error as Error);
        if (isWrongProtocol(failure)) throw failed(failure);
        if (isProxys && isRefused(error)) this.#context.appDown.note();
        if (isProxys) return undefined;
        const delay = this.#delay(failures, performance.now() - failingSince);
        if (delay === undefined) throw failed(error);
        await this.#pause(delay);
      }
    }
  }

  #delay(failures: number, sinceMs: number): number | undefined {
    const { policy, drain } = this.#context;
    const facts = {
      method: 'GET',
      hasIdempotencyKey: false,
      canReplay: true,
      retries: 0,
      drainLeftMs: drain.leftMs,
    };
    return delayAfterUnreached(policy, facts, failures, sinceMs);
  }

  async #pause(delayMs: number): Promise<void> {
    const arrival = this.#place?.arrival;
    this.#release();
    this.#context.stats.retries += 1;
    await sleep(delayMs, this.#request.early.left);
    this.#place = await this.#enter(arrival);
  }

  async #carry(upstream: Socket): Promise<TunnelOutcome> {
    const { admission, policy } = this.#context;
    const { head, socket, early, req } = this.#request;
    const tunnel = await openTunnel({
      head,
      socket,
      early,
      upstream,
      protocol: req.headers.upgrade as string,
      headMs: policy.httpTimeoutMs,
      mapHead: (answer) => ({ ...answer, headers: fromTheApp(answer.headers, admission.load) }),
    });
    const remove = this.#tunnels.add(tunnel);
    try {
      return await tunnel.done;
    } finally {
      remove();
    }
  }

  #finish(outcome: TunnelOutcome): void {
    switch (outcome.kind) {
      case 'closed':
        return this.#count('1xx');
      case 'answered':
        return this.#count(codeClassOf(outcome.status));
      case 'discarded':
      case 'cancelled':
        this.#request.socket.destroy(); // the client may have closed its half only
        return this.#count('cancelled');
      case 'failed':
        throw failed(outcome.error);
      case 'timeout':
        throw new ReasonError('function-timeout', 'the function did not answer the upgrade in time');
    }
  }

  #refuse(error: unknown): void {
    const { stats, admission } = this.#context;
    const { socket, early } = this.#request;
    this.#release();
    if (early.left.aborted) {
      socket.destroy();
      return this.#count('cancelled');
    }
    const reason = asReason(error);
    if (!this.#hasStarted) stats.refuse(reason.code);
    sendReasonOnSocket(socket, reason, [HEADER.load, admission.load]);
    this.#count(codeClassOf(reason.status));
  }

  #count(codeClass: CodeClass): void {
    if (this.#hasStarted) {
      this.#context.stats.finish(codeClass, (performance.now() - this.#begunAt) / 1_000);
    }
  }

  #release(): void {
    if (!this.#place) return;
    this.#place.release();
    this.#place = undefined;
    this.#context.reporter.released();
  }
}

function failed(error: unknown): ReasonError {
  const message = `the function's container did not take the upgrade: ${describeError(error)}. Look at its log`;
  return new ReasonError('upstream-failed', message, { cause: error });
}
