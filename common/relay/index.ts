/**
 * The relay's public face. See `types.ts` for the contract and docs/decisions/relay.md for the reasons.
 *
 * Room `common/relay`: The HTTP data path that both hops share.
 * Comes in: a request head, a body source.
 * Goes out: the answer into a sink, and one outcome.
 */
export type * from './types.ts';
export type { RelayOptions } from './options.ts';
export type { Dial, Transport } from './target/transport.ts';
export { createOperatorServer } from './server/operator-server.ts';
export { isBadResponse, isWrongProtocol, RelayError, type RelayErrorCode } from './errors.ts';
export { createRelay } from './relay.ts';
export { serveHead } from './server/serve-head.ts';
export { bodyLength, nodeBody } from './server/node-body.ts';
export { NO_BODY, bufferBody, iterableBody } from './body/bodies.ts';
export { replayableBody } from './body/replayable-body.ts';
export { nodeSink, type NodeSinkOptions } from './server/node-sink.ts';
export { captureSink, type CapturedAnswer, type CaptureSink } from './body/capture-sink.ts';
export {
  createEdgeServer,
  TCP_OPTIONS,
  type EdgeHandler,
  type EdgeLimit,
  type EdgeLimits,
} from './server/edge-server.ts';
export { giveAway } from './server/idle-connections.ts';
export { RunningList, type Listed } from './exchange/running-list.ts';
export { HeaderNames, headerValue, withoutHeaders } from './wire/fields.ts';
