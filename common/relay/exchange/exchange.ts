/** One exchange over HTTP/1.1: a request written to a connection of its own, and its answer read from it. */
import type { Connection, Tenant } from '../target/connection.ts';
import { RelayError } from '../errors.ts';
import { ExchangeLife, type Host, type OnDone } from './exchange-life.ts';
import type { Pool } from '../target/pool.ts';
import { returnReadBuffer } from '../target/read-buffers.ts';
import { RequestSender } from './request-body.ts';
import { isIdempotent } from '../../call/methods.ts';
import { writeHead } from '../wire/request-writer.ts';
import type { ParsedHead } from '../wire/response-head.ts';
import type { RelayRequest, RawHeaders } from '../types.ts';

export class RunningExchange extends ExchangeLife implements Tenant {
  readonly #pool: Pool;
  #connection: Connection | undefined;
  declare protected sender: RequestSender | undefined;
  #parsed: ParsedHead | undefined;
  #isDiscarding = false;
  /** The read buffer that the sink still writes from, when the exchange is over. */
  #lent: Buffer | undefined;

  constructor(request: RelayRequest, pool: Pool, host: Host, onDone: OnDone) {
    super(request, host, onDone);
    this.#pool = pool;
  }

  protected override connect(): void {
    const idle = this.#pool.reuse(this.host.clock.now, this.#mayRepeat());
    if (idle) this.onConnected(idle);
    else this.onPlaceFree();
  }

  protected override resumeReading(): void {
    if (this.#lent) returnReadBuffer(this.#lent);
    this.#lent = undefined;
    this.#connection?.resumeReading();
  }

  protected override get sentBytes(): number {
    return this.sender?.sentBytes ?? 0;
  }

  protected override leave(): void {
    this.sender?.stop();
    this.#pool.leave(this);
    this.#connection?.reset();
  }

  protected override letGo(): void {
    this.#connection = undefined;
  }

  // Tenant

  onPlaceFree(): void {
    this.#connection = this.#pool.open(this);
  }

  onConnected(connection: Connection): void {
    this.#connection = connection;
    this.connected();
    const { head, body, target } = this.request;
    connection.begin(this, head.method === 'HEAD');
    const greeting = connection.isReused ? '' : target.greeting?.();
    this.sender = new RequestSender(connection, writeHead(head, body, target, greeting), body, this);
    this.sender.start();
  }

  onHead(parsed: ParsedHead): void {
    // What a server says to an idle connection (408, for one) is no answer to what we are about to ask.
    if (this.sentBytes === 0) throw new RelayError('bad-response', 'an answer before the request');
    this.#parsed = parsed;
    this.#isDiscarding = this.request.decide?.(parsed.head) === 'discard';
    if (this.#isDiscarding || this.phase !== 'head') return; // the latter: `decide` cancelled
    this.forward(parsed.head);
  }

  onData(chunk: Buffer): void {
    if (this.phase === 'body' && !this.request.sink.data(chunk)) this.isHeld = true;
  }

  onReadDone(): boolean {
    if (this.#isDiscarding) return this.#cutDiscarded();
    if (this.phase !== 'body') return true;
    this.moved();
    const { sink } = this.request;
    if (sink.flush && !sink.flush()) this.isHeld = true;
    return !this.isHeld;
  }

  onEnd(trailers: RawHeaders): void {
    if (this.phase === 'body') this.isHeld = !this.request.sink.end(trailers);
  }

  onComplete(isClean: boolean): void {
    const connection = this.#connection as Connection;
    const parsed = this.#parsed as ParsedHead;
    // A request still being sent has nobody left to read it: the connection cannot carry another.
    const isReusable = isClean && parsed.keepAlive && this.sender?.isSent === true;
    this.sender?.stop();
    if (isReusable) {
      if (this.isHeld) this.#lent = connection.lendBuffer();
      this.#pool.release(connection, parsed.keepAliveMs, this.host.clock.now);
    } else connection.close();
    if (this.#isDiscarding) this.finish({ kind: 'discarded', head: parsed.head });
    else this.finish({ kind: 'answered', status: parsed.head.status });
  }

  onLost(error: Error): void {
    if (this.#retryStale()) return;
    this.sender?.stop();
    if (this.#isDiscarding) this.finish({ kind: 'discarded', head: (this.#parsed as ParsedHead).head });
    else this.fail({ phase: this.failurePhase, error, sentBytes: this.sentBytes });
  }

  #mayRepeat(): boolean {
    return this.request.mayRepeat ?? isIdempotent(this.request.head.method);
  }

  /**
   * A kept-alive connection that ends before a byte of the answer was most likely closed by the server while
   * the request was on its way. It is sent again, once and on a new connection, where that is safe.
   */
  #retryStale(): boolean {
    const connection = this.#connection;
    if (this.hasRetried || !connection?.isReused) return false;
    const wasSent = this.sentBytes > 0;
    if (!connection.answerHasBegun) this.#pool.sawClosing(connection.idleSince);
    if (wasSent && (connection.answerHasBegun || !this.#mayRepeat())) return false;
    this.sender?.stop();
    if (!this.request.body.canStart) return false;
    this.again();
    this.onPlaceFree();
    return true;
  }

  /** A discarded body that did not come whole with its head is not worth reading: the connection is cut. */
  #cutDiscarded(): boolean {
    this.leave();
    this.finish({ kind: 'discarded', head: (this.#parsed as ParsedHead).head });
    return false;
  }
}
