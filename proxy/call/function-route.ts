/**
 * `/function/{fn}/{path}`: from Node's request and response to a {@link Call}. The hot path: what it does, it
 * does for every call.
 *
 * Room `proxy/call`: One synchronous call, from its head to its answer.
 * Comes in: a request to /function/.
 * Goes out: an answer of a pod, or a reason.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asReason, sendReason } from '../../common/runtime/reason-answer.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { HEADER } from '../../common/function/names.ts';
import {
  HeaderNames,
  nodeBody,
  nodeSink,
  replayableBody,
  serveHead,
  withoutHeaders,
  type BodySource,
  type RequestHead,
  type ResponseSink,
} from '../../common/relay/index.ts';
import type { RawHeaders, ResponseHead } from '../../common/relay/types.ts';
import { NodeRequest, type ActiveCalls } from '../edge/active-calls.ts';
import type { CallEnd } from '../metrics/call-end.ts';
import { ProxyCall, type CallDeps, type CallRequest } from './proxy-call.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { CallTarget, FunctionLookup } from '../functions/function-lookup.ts';
import { withCors } from '../callers/cors.ts';
import type { Gates } from '../callers/gate.ts';
import { letIn, whenLetIn } from '../callers/let-in.ts';
import { originOf } from '../edge/headers.ts';
import { prefixPaths, type PathRewrite } from '../edge/path-rewrite.ts';
import type { Ids } from '../edge/ids.ts';
import { toldTo, type PublishedRoutes } from '../edge/outside.ts';
import type { ReplayBudget } from './replay-budget.ts';
import { heldBytes } from '../waiting/waiting-budget.ts';

export interface FunctionRouteDeps extends CallDeps {
  readonly gates: Pick<Gates, 'cors'>;
  readonly published: PublishedRoutes;
  readonly lookup: FunctionLookup;
  readonly ids: Ids;
  readonly replay: ReplayBudget;
  readonly active: ActiveCalls;
}

/** @param hosted the function that claims the request's Host */
export type FunctionHandler = (req: IncomingMessage, res: ServerResponse, hosted?: FunctionEntry) => void;

export function createFunctionRoute(deps: FunctionRouteDeps): FunctionHandler {
  return (req, res, hosted) => {
    try {
      begin(req, res, hosted, deps);
    } catch (error) {
      refuse(res, error);
    }
  };
}

/** A connection whose body was left unread stays open, because callers come back. */
function refuse(res: ServerResponse, error: unknown): void {
  const reason = toldTo(res.req.socket, asReason(error));
  sendReason(res, reason, reason.code === 'bad-request' ? ['Connection', 'close'] : []);
}

function begin(
  req: IncomingMessage,
  res: ServerResponse,
  hosted: FunctionEntry | undefined,
  deps: FunctionRouteDeps,
): void {
  const { method, headers } = serveHead(req);
  deps.published.check(req.socket, req.url as string, 'function');
  const target = targetOf(req, res, hosted, deps);
  const { entry, prefix } = target;
  if (entry.cors?.show(req, res)) return;
  const start = (kept: string[]): void => {
    if (res.destroyed) return; // whoever leaves while a token is verified has asked for nothing
    const head = { method, path: target.path, headers: kept };
    const cors = entry.cors?.fields(req.headers);
    const options = sinkOptions(cors, pathRewrite(entry, prefix, kept));
    startCall(deps.lookup.partFor(entry, kept), new Arrival(req, res, head, options, deps), deps);
  };
  const forwarded = letIn(entry.gate, { headers, origin: originOf(req.socket, prefix) }, deps.ids);
  whenLetIn(forwarded, start, (error) => refuse(res, error));
}

/** To a browser an unknown function answers as the proxy does. */
function targetOf(
  req: IncomingMessage,
  res: ServerResponse,
  hosted: FunctionEntry | undefined,
  { lookup, gates }: FunctionRouteDeps,
): CallTarget {
  try {
    return lookup.target(req, hosted, req.url as string);
  } catch (error) {
    gates.cors?.dress(req, res);
    throw error;
  }
}

function startCall(entry: FunctionEntry, arrival: Arrival, deps: FunctionRouteDeps): void {
  const call = new ProxyCall(entry, arrival, deps);
  arrival.call = call;
  deps.active.add(arrival.active);
  call.start();
}

/** What a {@link Call} needs of Node's request and response: one object, as there is one for every call. */
class Arrival implements CallRequest {
  readonly head: RequestHead;
  readonly body: BodySource;
  readonly sink: ResponseSink;
  readonly active: NodeRequest;
  call: ProxyCall | undefined;
  readonly #res: ServerResponse;
  readonly #active: ActiveCalls;
  readonly #release: () => void;
  #isWatched = false;

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    head: RequestHead,
    options: SinkOptions,
    deps: FunctionRouteDeps,
  ) {
    const { body, release } = keepForReplay(nodeBody(req), deps.replay);
    this.head = head;
    this.body = body;
    this.sink = nodeSink(res, options);
    this.active = new NodeRequest(req, res);
    this.#res = res;
    this.#active = deps.active;
    this.#release = release;
  }

  get heldBytes(): number {
    return heldBytes(bytesOfHead(this.head), this.body.length);
  }

  fail(error: ReasonError): void {
    refuse(this.#res, error);
  }

  /** A call that runs is cancelled by its sink; one that waits has only this. */
  onWait(): void {
    if (this.#res.destroyed) this.call?.cancel();
    else if (!this.#isWatched) this.#res.once('close', () => this.call?.cancel());
    this.#isWatched = true;
  }

  onEnd(end: CallEnd): void {
    this.#release();
    this.#active.remove(this.active);
    // An upload that broke off: nobody reads an answer, and nothing else would close the connection.
    if (end.kind === 'cancelled') this.#res.destroy();
  }
}

/** Internal headers of the sidecar's answer, read by then. */
const INTERNAL = new HeaderNames([HEADER.load, HEADER.refused]);
const PLAIN: SinkOptions = {
  mapHead: (head) => ({ ...head, headers: withoutHeaders(head.headers, INTERNAL) }),
};

/** What becomes of an answer's head on its way to the caller. */
export interface SinkOptions {
  readonly mapHead: (head: ResponseHead) => ResponseHead;
}

/**
 * @param cors what an answer says to a browser; undefined: what the app says
 * @param rewrite undefined: its paths stay as the app wrote them
 */
export function sinkOptions(cors: RawHeaders | undefined, rewrite: PathRewrite | undefined): SinkOptions {
  if (cors === undefined && rewrite === undefined) return PLAIN;
  return {
    mapHead(head) {
      const plain = PLAIN.mapHead(head);
      const headers = rewrite ? prefixPaths(plain.headers, rewrite) : plain.headers;
      return { ...plain, headers: cors ? withCors(headers, cors) : headers };
    },
  };
}

/** @param request as the app gets it */
export function pathRewrite(
  { view }: FunctionEntry,
  prefix: string,
  request: RawHeaders,
): PathRewrite | undefined {
  return view.spec.rewritesPaths && prefix !== '' ? { prefix, request } : undefined;
}

export function keepForReplay(
  body: BodySource,
  budget: ReplayBudget,
): { body: BodySource; release: () => void } {
  const kept = body.length === 0 ? undefined : budget.reserve(body.length);
  if (!kept) return { body, release: nothingHeld };
  return { body: replayableBody(body, kept.bytes, kept.shrinkTo), release: kept.release };
}

function nothingHeld(): void {}

/** Object and string headers included, about what V8 keeps for a head. */
export function bytesOfHead(head: { path: string; headers: readonly string[] }): number {
  let bytes = 512 + head.path.length;
  for (const text of head.headers) bytes += 32 + text.length;
  return bytes;
}
