/**
 * `/function/{fn}/{path}`: from Node's request and response to a {@link Call}. The hot path: what it does, it
 * does for every call.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asReason, sendReason } from '../../common/reason-answer.ts';
import { ReasonError } from '../../common/errors.ts';
import { HEADER } from '../../common/names.ts';
import {
  nodeBody,
  nodeSink,
  replayableBody,
  serveHead,
  withoutHeaders,
  type BodySource,
  type NodeSinkOptions,
} from '../../common/relay/index.ts';
import { NodeCall, type ActiveCalls } from '../active-calls.ts';
import { Call, type CallDeps } from '../call.ts';
import type { FunctionEntry } from '../function-entry.ts';
import type { FunctionLookup } from '../function-lookup.ts';
import { parseFunctionTarget } from '../function-path.ts';
import { forwardHeaders, isEncrypted } from '../headers.ts';
import type { Ids } from '../ids.ts';
import type { ReplayBudget } from '../replay-budget.ts';
import { plainAddress } from '../trust.ts';
import { heldBytes } from '../waiting-budget.ts';

export interface FunctionRouteDeps extends CallDeps {
  readonly lookup: FunctionLookup;
  readonly ids: Ids;
  readonly replay: ReplayBudget;
  readonly active: ActiveCalls;
}

export type RawHandler = (req: IncomingMessage, res: ServerResponse) => void;

export const FUNCTION_PREFIX = '/function/';

export function createFunctionRoute(deps: FunctionRouteDeps): RawHandler {
  return (req, res) => {
    try {
      begin(req, res, deps);
    } catch (error) {
      const reason = asReason(error);
      sendReason(res, reason, reason.code === 'bad-request' ? ['Connection', 'close'] : []);
    }
  };
}

function begin(req: IncomingMessage, res: ServerResponse, deps: FunctionRouteDeps): void {
  const { method, path, headers } = serveHead(req);
  const target = parseFunctionTarget(path, FUNCTION_PREFIX);
  if (!target) throw new ReasonError('unknown-function', 'no function named: use /function/{name}/{path}');
  const entry = deps.lookup.forCall(req, target.name, target.path);
  const origin = { address: plainAddress(req.socket.remoteAddress ?? ''), isTls: isEncrypted(req.socket) };
  const head = { method, path: target.path, headers: forwardHeaders(headers, origin, deps.ids) };
  startCall(entry, head, { req, res, deps });
}

interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly deps: FunctionRouteDeps;
}

function startCall(
  entry: FunctionEntry,
  head: { method: string; path: string; headers: readonly string[] },
  { req, res, deps }: Exchange,
): void {
  const { body, release } = keepForReplay(nodeBody(req), deps.replay);
  const active = new NodeCall(req, res);
  let isWatched = false;
  const call = new Call(
    entry,
    {
      head,
      body,
      sink: nodeSink(res, SINK_OPTIONS),
      heldBytes: heldBytes(bytesOfHead(head), body.length),
      fail: (error) => sendReason(res, error),
      onWait: () => {
        // A call that runs is cancelled by its sink; one that waits has only this.
        if (res.destroyed) call.cancel();
        else if (!isWatched) res.once('close', () => call.cancel());
        isWatched = true;
      },
      onEnd: (end) => {
        release();
        deps.active.remove(active);
        // An upload that broke off: nobody reads an answer, and nothing else would close the connection.
        if (end.kind === 'cancelled') res.destroy();
      },
    },
    deps,
  );
  deps.active.add(active);
  call.start();
}

/** Internal headers of the sidecar's answer, read by then. */
const INTERNAL = new Set<string>([HEADER.load, HEADER.refused]);
export const SINK_OPTIONS = {
  mapHead: (head) => ({ ...head, headers: withoutHeaders(head.headers, INTERNAL) }),
} satisfies NodeSinkOptions;

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
