/**
 * A server of health, metrics and operator routes. It is not for callers, but any pod of the cluster may reach it, before a
 * token is asked for. So connections without a request, and answers that nobody reads, are bounded. Beyond the bound, the
 * connection that is idle longest is closed for the next one. So the kubelet's probe always gets in.
 */
import type { Server } from 'node:http';
import { createEdgeServer, type EdgeHandler, type EdgeLimit, type EdgeLimits } from './edge-server.ts';

const OPERATOR_LIMITS: Partial<EdgeLimits> = {
  maxHeaderBytes: 16_384,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 30_000,
  maxConnections: 1_024,
  maxIdleBytes: 4 * 1024 * 1024,
  evictsUnread: true,
};

/** Listening, the event `upgrade` and closing are the caller's. */
export function createOperatorServer(handler: EdgeHandler, onLimit: (limit: EdgeLimit) => void): Server {
  return createEdgeServer(handler, OPERATOR_LIMITS, onLimit);
}
