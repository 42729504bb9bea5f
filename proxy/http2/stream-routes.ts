/**
 * Which route an HTTP/2 request takes: a function's goes straight to its call, all others to the Koa application
 * through Node's compatibility layer. A gRPC client cannot put anything before its path
 * (`/package.Service/Method`), so it names the function in the metadata `slimfaas-function`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { ReasonError } from '../../common/runtime/errors.ts';
import { isGrpc, pushFields } from '../../common/http2/fields.ts';
import { streamHead } from './h2-head.ts';
import { sendStreamReason } from './h2-reason.ts';
import { cutUnread } from './h2-sink.ts';
import { http2 } from '../../common/http2/node-http2.ts';
import { HEADER } from '../../common/function/names.ts';
import { asReason } from '../../common/runtime/reason-answer.ts';
import type { RequestHead } from '../../common/relay/index.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import type { CallTarget } from '../functions/function-lookup.ts';
import { FUNCTION_PREFIX } from '../functions/routes.ts';
import { isPreflight } from '../callers/cors.ts';
import { letIn, whenLetIn } from '../callers/let-in.ts';
import { pathRewrite, sinkOptions, type FunctionRouteDeps } from '../call/function-route.ts';
import { toldTo } from '../edge/outside.ts';
import { plainAddress } from '../edge/trust.ts';
import { startStreamRequest } from './function-stream.ts';
import type { StreamArrival } from './http2-edge.ts';

type Fields = StreamArrival['fields'];

/**
 * `/package.Service/Method`. No route of ours looks like it, so none is taken from a gRPC client or by one. Routes of
 * two segments have a hyphen in the first, which no protobuf name has, and `/function/` is asked before.
 */
const GRPC_PATH = /^\/[^/?-]+\/[^/?]+$/;

const FUNCTION_FIELD = HEADER.function.toLowerCase();

/** @param handle the Koa application */
export function createStreamRoutes(
  deps: FunctionRouteDeps & { readonly maxHeaderBytes: number },
  handle: (req: IncomingMessage, res: ServerResponse) => unknown,
): (arrival: StreamArrival) => void {
  const { maxHeaderBytes } = deps;
  return (arrival) => {
    const { stream, raw, fields, hasBody } = arrival;
    const forGrpc = isGrpc(fields['content-type'] as string | undefined);
    try {
      // Node's own limit counts only once the client has acknowledged our SETTINGS, which it need not do.
      const head = streamHead(raw, hasBody, maxHeaderBytes);
      const target = targetOf(arrival, head.path, forGrpc, deps);
      if (target) begin(arrival, head, { ...target, isGrpc: forGrpc }, deps);
      else handleCompat(stream, fields, head, handle);
    } catch (error) {
      // To a browser an unknown function answers as the proxy does.
      const cors = deps.gates.cors?.fields(fields);
      sendStreamReason(stream, asReason(error), {
        isHead: fields[':method'] === 'HEAD',
        isGrpc: forGrpc,
        cors,
      });
    }
  };
}

/** @returns undefined for a route of the proxy's own */
function targetOf(
  { peer, fields }: StreamArrival,
  path: string,
  forGrpc: boolean,
  { lookup, published }: Pick<FunctionRouteDeps, 'lookup' | 'published'>,
): CallTarget | undefined {
  const caller = { socket: peer, headers: fields };
  const host = (fields[':authority'] ?? fields.host) as string | undefined;
  const hosted = lookup.hosted(host, path);
  const isByPath = hosted !== undefined || path.startsWith(FUNCTION_PREFIX);
  if (!isByPath && !(forGrpc && GRPC_PATH.test(path))) return undefined;
  published.check(peer, path, 'function');
  if (isByPath) return lookup.target(caller, hosted, path);
  const name = fields[FUNCTION_FIELD];
  if (typeof name === 'string' && name !== '')
    return { entry: lookup.forCall(caller, name, path), path, prefix: '' };
  const message = `a gRPC call names its function in the metadata ${FUNCTION_FIELD}: name or name.namespace`;
  throw new ReasonError('unknown-function', message);
}

function begin(
  { stream, peer, hasBody, fields }: StreamArrival,
  head: RequestHead,
  { entry, path, prefix, isGrpc: forGrpc }: CallTarget & { readonly isGrpc: boolean },
  deps: FunctionRouteDeps,
): void {
  const cors = entry.cors?.fields(fields);
  const refuse = (error: unknown): void => {
    const told = toldTo(peer, asReason(error));
    sendStreamReason(stream, told, { isHead: head.method === 'HEAD', isGrpc: forGrpc, cors });
  };
  const start = (kept: string[]): void => {
    if (stream.destroyed) return;
    const named = { ...head, path, headers: kept };
    const options = sinkOptions(cors, pathRewrite(entry, prefix, kept));
    const part = deps.lookup.partFor(entry, kept);
    const answering = { options, fail: refuse };
    startStreamRequest({ stream, entry: part, head: named, hasBody, isGrpc: forGrpc, ...answering }, deps);
  };
  try {
    if (entry.cors && isPreflight(head.method, fields))
      return answerPreflight(stream, entry.cors.preflight(fields));
    const origin = { address: plainAddress(peer.remoteAddress ?? ''), isTls: peer.isTls, prefix };
    whenLetIn(letIn(entry.gate, { headers: head.headers, origin }, deps.ids), start, refuse);
  } catch (error) {
    refuse(error);
  }
}

function answerPreflight(stream: ServerHttp2Stream, headers: RawHeaders): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(pushFields([':status', '204'], headers), { endStream: true });
  cutUnread(stream);
}

/** The routes read `rawHeaders` as HTTP/1.1 has them, the Host among them. */
function handleCompat(
  stream: ServerHttp2Stream,
  fields: Fields,
  head: RequestHead,
  handle: (req: IncomingMessage, res: ServerResponse) => unknown,
): void {
  const { Http2ServerRequest, Http2ServerResponse } = http2();
  const req = new Http2ServerRequest(stream, fields, {}, head.headers);
  const res = new Http2ServerResponse(stream);
  res.once('finish', () => cutUnread(stream));
  void handle(req as unknown as IncomingMessage, withDrain(res, stream) as unknown as ServerResponse);
}

/** Node's compatibility layer has no `writableNeedDrain`, by which a stream of events skips clients that do not read. */
function withDrain<R extends object>(res: R, stream: ServerHttp2Stream): R {
  return Object.defineProperty(res, 'writableNeedDrain', { get: () => stream.writableNeedDrain });
}
