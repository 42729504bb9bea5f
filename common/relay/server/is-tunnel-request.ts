/**
 * Which requests are to be tunnels. Both hops ask here. If one saw an upgrade where the other sees a plain request,
 * they would disagree about where it ends. A body would be lost, or taken for the next request.
 */
import type { IncomingMessage } from 'node:http';
import { bodyLength } from './node-body.ts';

/**
 * A GET of HTTP/1.1 without a body. A request that offers HTTP/2, even as one of several, is none. Java's HttpClient
 * offers it with each first request, whatever its body, and accepts an answer in HTTP/1.1. Behind a tunnel of HTTP/2
 * the app would take requests that no limit and no rule of visibility has seen. A server may ignore the offer (RFC
 * 9110 7.8).
 */
export function isTunnelRequest(req: IncomingMessage): boolean {
  const { upgrade } = req.headers;
  if (upgrade === undefined || req.method !== 'GET' || req.httpVersion === '1.0') return false;
  return isProtocolList(upgrade) && bodyLength(req.rawHeaders) === 0;
}

function isProtocolList(upgrade: string): boolean {
  const protocols = upgrade.split(',').map((protocol) => protocol.trim().toLowerCase());
  return protocols.some((protocol) => protocol !== '') && !protocols.some(isHttp);
}

/** `h2c`, `h2c-14`, `HTTP/2.0` … */
function isHttp(protocol: string): boolean {
  return protocol.startsWith('h2') || protocol.startsWith('http');
}
