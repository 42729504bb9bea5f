/**
 * The relay's public face. See `types.ts` for the contract and docs/decisions/relay.md for the reasons.
 */
export type * from './types.ts';
export type { Dial, Transport } from './transport.ts';
export { isBadResponse, isWrongProtocol, RelayError, type RelayErrorCode } from './errors.ts';
export { createRelay } from './relay.ts';
export { serveHead } from './serve-head.ts';
export { bodyLength, nodeBody } from './node-body.ts';
export { NO_BODY, bufferBody, iterableBody } from './bodies.ts';
export { replayableBody } from './replayable-body.ts';
export { nodeSink, type NodeSinkOptions } from './node-sink.ts';
export { captureSink, type CapturedAnswer, type CaptureSink } from './capture-sink.ts';
export {
  createEdgeServer,
  TCP_KEEP_ALIVE_MS,
  type EdgeHandler,
  type EdgeLimit,
  type EdgeLimits,
} from './edge-server.ts';
export { giveAway } from './idle-connections.ts';
export { RunningList, type Listed } from './running-list.ts';
export { HeaderNames, headerValue, withoutHeaders } from './fields.ts';
export { isRepeatable } from './request-writer.ts';
