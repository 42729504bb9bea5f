import type { IncomingMessage } from 'node:http';

/** Whether a request is to be a tunnel. h2c is not: whoever offers it is content with an HTTP/1.1 answer. */
export function isTunnelRequest(req: IncomingMessage): boolean {
  const upgrade = req.headers.upgrade?.trim().toLowerCase();
  return req.method === 'GET' && upgrade !== undefined && upgrade !== '' && !upgrade.startsWith('h2c');
}
