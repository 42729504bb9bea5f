/**
 * An upgrade (WebSocket) from its arrival to its end: it waits for a place like any call and holds it while it
 * is open. The same rules as {@link ProxyCall}, without a body: until the pod has agreed, its app has at most seen a GET.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { CallPhase } from '../../common/call/states.ts';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import { HEADER } from '../../common/function/names.ts';
import {
  HeaderNames,
  headerValue,
  withoutHeaders,
  type RequestHead,
  type ResponseHead,
} from '../../common/relay/index.ts';
import { connectTo } from '../../common/tunnel/connect.ts';
import type { EarlyBytes } from '../../common/tunnel/early-bytes.ts';
import { openTunnel, type Tunnel, type TunnelOutcome } from '../../common/tunnel/tunnel.ts';
import type { CallEnd } from '../metrics/call-end.ts';
import { MAX_DEATHS } from './proxy-call.ts';
import type { Clock } from '../clock.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import { openingSidecar, parseLoad } from '../edge/headers.ts';
import type { PodPlace } from '../pods/pod-group.ts';
import { noteRefusal } from '../pods/refusal.ts';
import type { CallTicket, WaitingCall } from '../waiting/throttler.ts';
import { callTimeouts, POD_CONNECT_MS } from './timeouts.ts';

export interface ProxyUpgradeRequest {
  readonly head: RequestHead;
  /** The value of `Upgrade`. */
  readonly protocol: string;
  readonly socket: Duplex;
  readonly early: EarlyBytes;
  readonly heldBytes: number;
  readonly fail: (error: ReasonError) => void;
  readonly onEnd: (end: CallEnd) => void;
}

export interface UpgradeDeps {
  readonly clock: Clock;
}

type TryOutcome = TunnelOutcome | { readonly kind: 'unreached'; readonly error: unknown };

/** RFC 6455 7.4.1. */
const GOING_AWAY = 1001;
/** For the client's answer to it, and the function's own end. */
const CLOSE_GRACE_MS = 5_000;

export class ProxyUpgrade implements WaitingCall {
  readonly heldBytes: number;
  readonly #entry: FunctionEntry;
  readonly #request: ProxyUpgradeRequest;
  readonly #deps: UpgradeDeps;
  readonly #ticket: CallTicket;
  #state: CallPhase = 'waiting';
  #wasCold = false;
  #tunnel: Tunnel | undefined;
  #refusal: string | undefined;
  #trouble: string | undefined;
  /** Tries that may have reached a function and got no answer. */
  #deaths = 0;

  constructor(entry: FunctionEntry, request: ProxyUpgradeRequest, deps: UpgradeDeps) {
    this.heldBytes = request.heldBytes;
    this.#entry = entry;
    this.#request = request;
    this.#deps = deps;
    this.#ticket = entry.throttler.ticket(this);
  }

  start(): void {
    this.#wasCold = !this.#entry.pods.isUsable;
    this.#request.early.left.addEventListener('abort', () => this.#callerLeft());
    try {
      this.#entry.throttler.join(this.#ticket);
    } catch (error) {
      if (!(error instanceof ReasonError)) throw error;
      this.refused(error);
    }
  }

  /** We end: a WebSocket gets a close frame, and its client connects to another proxy. */
  goAway(): void {
    if (this.#tunnel) this.#tunnel.close(GOING_AWAY, 'this proxy is ending', CLOSE_GRACE_MS);
    else this.#request.socket.destroy();
  }

  placed(place: PodPlace): void {
    this.#state = 'running';
    this.#refusal = undefined;
    const now = this.#deps.clock.now();
    this.#entry.account.started(now, now - this.#ticket.arrivedMs, this.#wasCold);
    void this.#try(place).then((outcome) => this.#done(place, outcome));
  }

  refused(error: ReasonError): void {
    this.#entry.account.series.failed(error.code);
    this.#request.fail(error);
    this.#end({ kind: 'status', status: error.status });
  }

  /** A try that runs watches that by itself. */
  #callerLeft(): void {
    if (this.#state !== 'waiting') return;
    this.#entry.throttler.leave(this.#ticket);
    this.#end({ kind: 'cancelled' });
  }

  async #try(place: PodPlace): Promise<TryOutcome> {
    const { left } = this.#request.early;
    const { host, port = 0 } = place.endpoint;
    let upstream: Socket | undefined;
    try {
      upstream = await connectTo({ host, port }, POD_CONNECT_MS, left);
      this.#tunnel = await openTunnel({ ...this.#towards(place), upstream });
      return await this.#tunnel.done;
    } catch (error) {
      if (left.aborted) return { kind: 'cancelled' };
      if (!upstream) return { kind: 'unreached', error };
      upstream.destroy();
      return { kind: 'failed', error: error as Error };
    } finally {
      this.#tunnel = undefined;
    }
  }

  #towards(place: PodPlace): Omit<Parameters<typeof openTunnel>[0], 'upstream'> {
    const { endpoint } = place;
    const { head, protocol, socket, early } = this.#request;
    const { hasSidecar } = endpoint;
    return {
      head: hasSidecar ? { ...head, headers: openingSidecar(head.headers, place) } : head,
      socket,
      early,
      protocol,
      headMs: callTimeouts(this.#entry.view.spec.sync, hasSidecar).headMs,
      onAgreed: (headers) => {
        this.#heard(endpoint, headers[HEADER.load]);
        for (const name of INTERNAL) delete headers[name];
      },
      decide: (answer) => this.#decide(endpoint, answer),
      mapHead: (answer) => ({ ...answer, headers: withoutHeaders(answer.headers, INTERNAL_NAMES) }),
    };
  }

  #decide(endpoint: PodPlace['endpoint'], answer: ResponseHead): 'forward' | 'discard' {
    this.#heard(endpoint, headerValue(answer.headers, HEADER.load));
    if (!endpoint.hasSidecar || answer.status !== 503) return 'forward';
    this.#refusal = headerValue(answer.headers, HEADER.refused);
    this.#trouble = headerValue(answer.headers, HEADER.trouble);
    return this.#refusal === undefined ? 'forward' : 'discard';
  }

  #heard(endpoint: PodPlace['endpoint'], text: string | string[] | undefined): void {
    const load = parseLoad(typeof text === 'string' ? text : undefined);
    if (load && endpoint.hasSidecar) endpoint.learned(load.running, load.limit);
    else endpoint.answered();
  }

  #done(place: PodPlace, outcome: TryOutcome): void {
    this.#entry.account.left(this.#deps.clock.now());
    place.release(true);
    this.#goOn(place, outcome);
    // Last, so that a call that goes back to the line does so before the line moves.
    this.#entry.pods.changed();
  }

  #goOn(place: PodPlace, outcome: TryOutcome): void {
    switch (outcome.kind) {
      case 'closed':
        return this.#end({ kind: 'status', status: 101 });
      case 'answered':
        return this.#end({ kind: 'status', status: outcome.status });
      case 'cancelled':
        return this.#end({ kind: 'cancelled' });
      case 'discarded':
        noteRefusal(this.#entry, place.endpoint, this.#refusal ?? 'full', this.#trouble);
        return this.#again(undefined);
      case 'unreached':
        place.endpoint.failed(describeError(outcome.error));
        return this.#again('connect');
      case 'failed':
        place.endpoint.failed(describeError(outcome.error));
        if (++this.#deaths <= MAX_DEATHS) return this.#again('head');
        return this.refused(broken(outcome.error));
      case 'timeout':
        return this.refused(
          new ReasonError('function-timeout', 'HttpTimeout passed before the upgrade was answered'),
        );
    }
  }

  #again(phase: string | undefined): void {
    if (this.#request.early.left.aborted) return this.#end({ kind: 'cancelled' });
    if (phase !== undefined) this.#entry.account.series.retried(phase);
    this.#state = 'waiting';
    this.#entry.throttler.join(this.#ticket, true);
  }

  #end(end: CallEnd): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#entry.account.ended(end, this.#deps.clock.now() - this.#ticket.arrivedMs);
    this.#request.onEnd(end);
  }
}

/** The sidecar's, read by then. */
const INTERNAL = [HEADER.load, HEADER.refused];
const INTERNAL_NAMES = new HeaderNames(INTERNAL);

function broken(cause: Error): ReasonError {
  const message = `the connection to the function broke before it answered the upgrade: ${describeError(cause)}`;
  return new ReasonError('upstream-failed', message, { cause });
}
