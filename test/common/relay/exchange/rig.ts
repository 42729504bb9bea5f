/**
 * What the relay's tests are made of: an exchange with a sink that records every call, and the relay as a
 * reverse proxy on a port of its own.
 */
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { ReasonError } from '../../../../common/runtime/errors.ts';
import {
  createEdgeServer,
  createRelay,
  NO_BODY,
  nodeBody,
  nodeSink,
  serveHead,
  type EdgeLimit,
  type EdgeLimits,
  type ExchangeControl,
  type RelayRequest,
  type NodeSinkOptions,
  type Outcome,
  type RawHeaders,
  type Relay,
  type RelayOptions,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type RelayTarget,
  type Timeouts,
} from '../../../../common/relay/index.ts';

/** Long enough never to be met on a slow machine, where a test is not about time. */
export const PATIENT: Timeouts = { connectMs: 10_000, headMs: 30_000, idleMs: 30_000 };

export function testRelay(t: TestContext, options: RelayOptions = {}): Relay {
  const relay = createRelay(options);
  t.after(() => relay.close());
  return relay;
}

export const GET: RequestHead = { method: 'GET', path: '/', headers: ['Host', 'f'] };

/** Notes what a sink is told, in order, and holds the answer. */
export class RecordingSink implements ResponseSink {
  readonly calls: string[] = [];
  received: ResponseHead | undefined;
  body = '';
  trailers: RawHeaders | undefined;
  error: Error | undefined;
  control: ExchangeControl | undefined;
  /** What `data` and `flush` answer. */
  accepts = true;
  readonly informationals: ResponseHead[] = [];

  attach(control: ExchangeControl): void {
    this.control = control;
  }

  informational(head: ResponseHead): void {
    this.calls.push(`informational ${head.status}`);
    this.informationals.push(head);
  }

  head(head: ResponseHead): void {
    this.calls.push(`head ${head.status}`);
    this.received = head;
  }

  data(chunk: Buffer): boolean {
    if (this.calls.at(-1) !== 'data') this.calls.push('data');
    this.body += chunk.toString('latin1');
    return this.accepts;
  }

  flush(): boolean {
    return this.accepts;
  }

  end(trailers: RawHeaders): boolean {
    this.calls.push('end');
    this.trailers = trailers;
    return true;
  }

  abort(error: Error): void {
    this.calls.push('abort');
    this.error = error;
  }
}

export interface Ran {
  readonly outcome: Outcome;
  readonly sink: RecordingSink;
}

export type Given = Partial<RelayRequest> & { readonly target: RelayTarget };

/** Runs an exchange to its end. */
export async function exchange(relay: Relay, given: Given): Promise<Ran> {
  const sink = (given.sink as RecordingSink | undefined) ?? new RecordingSink();
  const outcome = await start(relay, { ...given, sink }).done;
  return { outcome, sink };
}

export function start(relay: Relay, given: Given) {
  return relay.exchange({ head: GET, body: NO_BODY, sink: new RecordingSink(), timeouts: PATIENT, ...given });
}

export interface Edge {
  readonly port: number;
  readonly server: Server;
  /** The outcomes so far, in the order they were reached. */
  readonly outcomes: readonly Outcome[];
  outcome(index: number): Promise<Outcome>;
}

export interface EdgeOptions {
  readonly limits?: Partial<EdgeLimits>;
  readonly onLimit?: (limit: EdgeLimit) => void;
  readonly sink?: NodeSinkOptions;
  readonly timeouts?: Partial<Timeouts>;
  /** In place of a plain relay to the target. */
  readonly handler?: (req: IncomingMessage, res: ServerResponse) => void;
}

/** The relay as a plain reverse proxy, listening. */
export async function edge(t: TestContext, target: RelayTarget, options: EdgeOptions = {}): Promise<Edge> {
  const relay = testRelay(t);
  const outcomes: Outcome[] = [];
  let arrived = ignore;
  const timeouts = { ...PATIENT, ...options.timeouts };
  const forward = (req: IncomingMessage, res: ServerResponse): void => {
    const head = headOrRefusal(req, res);
    if (!head) return;
    relay.exchange(
      { target, head, body: nodeBody(req), sink: nodeSink(res, options.sink), timeouts },
      (outcome) => {
        outcomes.push(outcome);
        if (outcome.kind !== 'answered' && !res.headersSent && !res.destroyed) res.writeHead(502).end();
        arrived();
      },
    );
  };
  const server = createEdgeServer(options.handler ?? forward, options.limits, options.onLimit);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    port: (server.address() as AddressInfo).port,
    server,
    outcomes,
    async outcome(index) {
      while (outcomes.length <= index) await new Promise<void>((resolve) => (arrived = resolve));
      return outcomes[index] as Outcome;
    },
  };
}

function headOrRefusal(req: IncomingMessage, res: ServerResponse): RequestHead | undefined {
  try {
    return serveHead(req);
  } catch (error) {
    if (!(error instanceof ReasonError)) throw error;
    res.writeHead(error.status, { Connection: 'close', 'SlimFaas-Reason': error.code });
    res.end(error.message);
    return undefined;
  }
}

function ignore(): void {}
