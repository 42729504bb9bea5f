import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { ReasonError } from '../../../common/runtime/errors.ts';
import {
  asReason,
  reasonAnswer,
  sendReason,
  sendReasonOnSocket,
} from '../../../common/runtime/reason-answer.ts';

const full = new ReasonError('queue-full', 'no more may wait', { retryAfterSeconds: 0.2 });

interface Listening extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
}

async function serve(listener: RequestListener): Promise<Listening> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Sends text, returns all that comes until the other side ends. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe('the system’s own answers', () => {
  it('carry status, reason, Retry-After in whole seconds, and the JSON of the table', () => {
    const answer = reasonAnswer(full, ['X-More', 'yes']);
    assert.equal(answer.status, 429);
    assert.deepEqual(JSON.parse(answer.body), { error: 'queue-full', message: 'no more may wait' });
    const headers = new Map<string, string>();
    for (let i = 0; i < answer.headers.length; i += 2) {
      headers.set(answer.headers[i] as string, answer.headers[i + 1] as string);
    }
    assert.equal(headers.get('SlimFaas-Reason'), 'queue-full');
    assert.equal(headers.get('Retry-After'), '1');
    assert.equal(headers.get('Content-Length'), String(Buffer.byteLength(answer.body)));
    assert.equal(headers.get('X-More'), 'yes');
  });

  it('count bytes, not characters', () => {
    const answer = reasonAnswer(new ReasonError('bad-request', 'größer'));
    assert.ok(answer.headers.includes(String(Buffer.byteLength(answer.body))));
    assert.ok(!answer.headers.includes('Retry-After'));
  });

  it('are written on a response, without a body for HEAD', async () => {
    await using http = await serve((_req, res) => sendReason(res, full, ['slimfaas-load', '1/1']));
    const text = await exchange(http.port, 'HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1.1 429 [\s\S]*SlimFaas-Reason: queue-full\r\n[\s\S]*slimfaas-load: 1\/1\r\n/);
    assert.ok(text.endsWith('\r\n\r\n'));
  });

  it('never end an answer that has begun: its connection is cut instead', async () => {
    await using http = await serve((_req, res) => {
      res.write('begun', () => sendReason(res, full));
    });
    const req = request({ host: '127.0.0.1', port: http.port, agent: false }).end();
    const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage];
    await assert.rejects(async () => {
      for await (const chunk of res) assert.equal(String(chunk), 'begun');
    }, /aborted|ECONNRESET/);
  });

  it('cut a caller who goes on sending a body that nobody reads', { timeout: 20_000 }, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    await using http = await serve((_req, res) => sendReason(res, full));
    const socket = connect(http.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome');
    await once(socket, 'data');
    const closed = once(socket, 'close');
    t.mock.timers.tick(5_000);
    await closed;
  });

  it('are written on the socket of an upgrade, which is closed behind them', async () => {
    await using http = await serve((_req, res) => res.end());
    http.server.on('upgrade', (_req, socket) => sendReasonOnSocket(socket, full));
    const upgrade = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const text = await exchange(http.port, upgrade);
    assert.match(text, /^HTTP\/1.1 429 queue-full\r\n[\s\S]*Connection: close\r\n\r\n\{"error":"queue-full"/);
  });

  it('are made of anything that was thrown', () => {
    assert.equal(asReason(full), full);
    const reason = asReason(new Error('read ECONNRESET'));
    assert.deepEqual([reason.code, reason.message], ['upstream-failed', 'read ECONNRESET']);
  });
});
