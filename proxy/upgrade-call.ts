/**
 * An upgrade (WebSocket) from its arrival to its end: it waits for a place like any call and holds it while it
 * is open. The same rules as {@link Call}, without a body; until the pod has agreed nothing has happened.
 */
import type { IncomingMessage } from 'node:http';
import { describeError, ReasonError } from '../common/errors.ts';
import { HEADER } from '../common/names.ts';
import type { CallEnd } from './account.ts';
import type { Clock } from './clock.ts';
import type { FunctionEntry } from './function-entry.ts';
import { parseLoad } from './headers.ts';
import type { Place } from './pod-group.ts';
import type { CallTicket, Caller } from './throttler.ts';
import { callTimeouts } from './timeouts.ts';
import type { TunnelOutcome, TunnelRequest, UpgradeTunnels } from './upgrade-tunnel.ts';

export interface UpgradeRequest {
  readonly tunnel: Omit<TunnelRequest, 'target' | 'timeoutMs'>;
  readonly heldBytes: number;
  readonly fail: (error: ReasonError) => void;
  /** The pod's answer where it did not upgrade: to be given to the client as it is. */
  readonly answer: (answer: IncomingMessage) => void;
  /** A pod is being tried. */
  readonly onTry: () => void;
  readonly onOpen: () => void;
  readonly onEnd: (end: CallEnd) => void;
}

export interface UpgradeDeps {
  readonly tunnels: UpgradeTunnels;
  readonly clock: Clock;
}

export class UpgradeCall implements Caller {
  readonly heldBytes: number;
  readonly #entry: FunctionEntry;
  readonly #request: UpgradeRequest;
  /** What came with the head; http-proxy gives it back to the socket at the first try. */
  #firstBytes: Buffer;
  readonly #deps: UpgradeDeps;
  readonly #ticket: CallTicket;
  #state: 'waiting' | 'running' | 'ended' = 'waiting';
  #wasCold = false;
  #status = 101;
  #cut: (() => void) | undefined;

  constructor(entry: FunctionEntry, request: UpgradeRequest, deps: UpgradeDeps) {
    this.heldBytes = request.heldBytes;
    this.#entry = entry;
    this.#request = request;
    this.#firstBytes = request.tunnel.head;
    this.#deps = deps;
    this.#ticket = entry.throttler.ticket(this);
  }

  start(): void {
    this.#wasCold = !this.#entry.pods.isUsable;
    try {
      this.#entry.throttler.join(this.#ticket);
    } catch (error) {
      if (!(error instanceof ReasonError)) throw error;
      this.refused(error);
    }
  }

  /** The client's socket has closed. */
  cancel(): void {
    if (this.#state === 'running') return this.#cut?.();
    if (this.#state !== 'waiting') return;
    this.#entry.throttler.leave(this.#ticket);
    this.#end({ kind: 'cancelled' });
  }

  placed(place: Place): void {
    const { endpoint } = place;
    this.#state = 'running';
    this.#request.onTry();
    this.#entry.account.started(this.#deps.clock.now() - this.#ticket.arrivedMs, this.#wasCold);
    const { tunnel } = this.#request;
    const headers = endpoint.hasSidecar ? { ...tunnel.headers, [HEADER.queue]: 'none' } : tunnel.headers;
    this.#cut = this.#deps.tunnels.open(
      {
        ...tunnel,
        head: this.#firstBytes,
        headers,
        target: { host: endpoint.host, port: endpoint.port ?? 0 },
        timeoutMs: callTimeouts(this.#entry.view.spec.sync, endpoint.hasSidecar).headMs,
      },
      {
        onOpen: (answer) => {
          this.#heard(place, answer);
          this.#request.onOpen();
        },
        onOutcome: (outcome) => this.#done(place, outcome),
      },
    );
    this.#firstBytes = Buffer.alloc(0);
  }

  refused(error: ReasonError): void {
    this.#entry.account.series.failed(error.code);
    this.#request.fail(error);
    this.#end({ kind: 'status', status: error.status });
  }

  #heard({ endpoint }: Place, answer: IncomingMessage): void {
    const text = answer.headers[HEADER.load];
    const load = parseLoad(typeof text === 'string' ? text : undefined);
    if (load && endpoint.hasSidecar) endpoint.learned(load.running, load.limit);
    else endpoint.answered();
    delete answer.headers[HEADER.load];
  }

  #done(place: Place, outcome: TunnelOutcome): void {
    this.#entry.account.left();
    place.release(true);
    if (outcome.kind === 'closed') this.#end({ kind: 'status', status: this.#status });
    else if (outcome.kind === 'answered') this.#answered(place, outcome.answer);
    else {
      // Nothing was upgraded, so the pod's app has at most seen a GET: to be tried again like one.
      place.endpoint.failed(describeError(outcome.error));
      this.#again('connect');
    }
    this.#entry.pods.changed();
  }

  #answered(place: Place, answer: IncomingMessage): void {
    const refusal = answer.statusCode === 503 ? answer.headers[HEADER.refused] : undefined;
    this.#heard(place, answer);
    if (place.endpoint.hasSidecar && typeof refusal === 'string') {
      answer.resume();
      this.#refusedBy(place, refusal);
      return this.#again(undefined);
    }
    this.#status = answer.statusCode ?? 502;
    this.#request.answer(answer);
    this.#end({ kind: 'status', status: this.#status });
  }

  #refusedBy({ endpoint }: Place, why: string): void {
    this.#entry.account.series.refused(why === 'draining' || why === 'starting' ? why : 'full');
    if (why === 'starting') return endpoint.failed('its app has not passed its readiness probe yet');
    if (why !== 'draining') return endpoint.refusedFull();
    endpoint.saidDraining();
    this.#entry.pods.refresh();
  }

  #again(phase: string | undefined): void {
    if (this.#request.tunnel.socket.destroyed) return this.#end({ kind: 'cancelled' });
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
