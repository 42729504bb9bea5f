/**
 * Answers to connections that have not shown that a proxy opened them, where that is asked for. They tell nothing of the
 * pod. A proxy learns what is wrong, and takes another pod or waits. The connection ends: a proof belongs to its
 * first request.
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ReasonError } from '../../common/runtime/errors.ts';
import { HEADER } from '../../common/function/names.ts';
import { cutUnreadBody, sendReason, sendReasonOnSocket } from '../../common/runtime/reason-answer.ts';
import type { SidecarContext } from '../context.ts';

type Refusing = Pick<SidecarContext, 'stats'>;

const FORBIDDEN =
  'this pod takes calls of slimfaas’s proxies alone: call /function/<name> there, or let its owner set slimfaas.dev/direct-calls: "true"';

/** @param isProxys it says that it is a proxy */
export function refuseStranger(
  { stats }: Refusing,
  res: ServerResponse,
  why: string,
  isProxys: boolean,
): void {
  stats.refuse('unproven');
  res.shouldKeepAlive = false;
  if (!isProxys) return sendReason(res, new ReasonError('forbidden', FORBIDDEN));
  res.writeHead(503, [HEADER.refused, 'unproven', HEADER.trouble, why, 'Content-Length', '0']);
  res.end();
  cutUnreadBody(res.req);
}

export function refuseStrangersUpgrade(
  { stats }: Refusing,
  socket: Duplex,
  why: string,
  isProxys: boolean,
): void {
  stats.refuse('unproven');
  if (!isProxys) return sendReasonOnSocket(socket, new ReasonError('forbidden', FORBIDDEN));
  const head = `HTTP/1.1 503 Service Unavailable\r\n${HEADER.refused}: unproven\r\n${HEADER.trouble}: ${why}\r\n`;
  socket.end(`${head}Content-Length: 0\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}
