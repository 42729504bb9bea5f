import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { isTunnelRequest } from '../../../../common/relay/server/is-tunnel-request.ts';

function request(
  upgrade: string | undefined,
  more: { method?: string; raw?: string[]; minor?: number } = {},
) {
  const { method = 'GET', raw = [], minor = 1 } = more;
  return {
    method,
    httpVersion: `1.${minor}`,
    headers: { upgrade },
    rawHeaders: raw,
  } as unknown as IncomingMessage;
}

describe('an upgrade', () => {
  it('is a GET that offers a protocol', () => {
    for (const upgrade of ['websocket', 'WebSocket', 'shout/1.0', 'websocket, shout', 'ahttp2'])
      assert.equal(isTunnelRequest(request(upgrade)), true, upgrade);
    assert.equal(isTunnelRequest(request('websocket', { raw: ['content-length', '0'] })), true);
  });

  it('is none where HTTP itself is offered, alone or among others', () => {
    for (const upgrade of [
      'h2c',
      'H2C',
      ' h2c',
      'websocket, h2c',
      'h2c,websocket',
      'x,\th2c-14',
      'HTTP/2.0',
      'h2',
    ])
      assert.equal(isTunnelRequest(request(upgrade)), false, upgrade);
  });

  it('is none without a protocol, with a body, another method or HTTP/1.0', () => {
    for (const upgrade of [undefined, '', ' ', ' , '])
      assert.equal(isTunnelRequest(request(upgrade)), false, JSON.stringify(upgrade));
    for (const raw of [
      ['Content-Length', '1'],
      ['Transfer-Encoding', 'chunked'],
    ])
      assert.equal(isTunnelRequest(request('websocket', { raw })), false, raw.join());
    for (const method of ['POST', 'get', 'CONNECT'])
      assert.equal(isTunnelRequest(request('websocket', { method })), false, method);
    assert.equal(isTunnelRequest(request('websocket', { minor: 0 })), false);
  });
});
