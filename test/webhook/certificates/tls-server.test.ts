/** Strangers who connect to the webhook and say nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import { createTlsServer } from '../../../webhook/certificates/tls-server.ts';
import { waitFor } from '../../helpers/wait.ts';
import { open, post, SERVER_NAME } from '../tls-client.ts';

const MAX = 20;

describe('connections of a TLS server', () => {
  let server: ReturnType<typeof createTlsServer>;
  let ca: string;
  let closed = 0;
  let half = 0;
  let held: (() => void)[] = [];
  const strangers: Socket[] = [];

  before(async () => {
    const validity = { nowMs: Date.now(), validMs: 3_600_000 };
    const authority = await createAuthority(validity);
    ca = authority.certificate;
    const pair = await issueCertificate(authority, [SERVER_NAME], validity);
    const handler = (req: IncomingMessage, res: { end: (text: string) => void }): void => {
      req.resume();
      if (req.url === '/half') req.once('data', () => half++);
      else if (req.url === '/held') held.push(() => res.end('held'));
      else res.end('ok');
    };
    const limits = { requestMs: 10_000, keepAliveMs: 60_000, maxConnections: MAX, onClosed: () => closed++ };
    server = createTlsServer(handler, pair, limits);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    for (const socket of strangers) socket.destroy();
    server.closeAllConnections();
    server.close();
  });

  const port = (): number => (server.address() as AddressInfo).port;
  const silent = async (): Promise<{ isClosed: boolean }> => {
    const socket = connect(port(), '127.0.0.1');
    strangers.push(socket);
    const state = { isClosed: false };
    socket.on('error', () => undefined).on('close', () => (state.isClosed = true));
    await once(socket, 'connect');
    socket.resume();
    return state;
  };

  it('beyond the bound the one that is silent longest goes; what is being answered stays, and who comes is answered', async () => {
    const agent = new Agent({ keepAlive: true });
    const answer = post({ port: port(), ca, path: '/held', agent }, '');
    await waitFor(() => held.length === 1, { what: 'a request is being answered' });
    const early: { isClosed: boolean }[] = [];
    for (let i = 0; i < MAX - 1; i++) early.push(await silent());
    assert.equal(closed, 0);
    const late = await silent();
    await waitFor(() => early[0]?.isClosed === true, { what: 'the first stranger is closed' });
    assert.deepEqual([early.filter(({ isClosed }) => isClosed).length, late.isClosed, closed], [1, false, 1]);
    assert.equal((await post({ port: port(), ca }, '')).status, 200);
    held.forEach((end) => end());
    held = [];
    assert.equal((await answer).body, 'held');
    agent.destroy();
  });

  it('with requests that never become whole give way too', async () => {
    const halves = Array.from({ length: MAX }, () => {
      const { call, answer } = open({ port: port(), ca, path: '/half' });
      const ended = answer.catch((error: unknown) => error);
      call.setHeader('content-length', 100);
      call.write('half');
      return { call, ended };
    });
    await waitFor(() => half === MAX, { what: 'all have sent the half of a request' });
    assert.equal((await post({ port: port(), ca }, '')).status, 200);
    for (const { call, ended } of halves) {
      call.destroy();
      await ended;
    }
  });

  it('are refused where all of them are being answered', async () => {
    const agent = new Agent({ keepAlive: true });
    const before = closed;
    const answers = Array.from({ length: MAX }, () => post({ port: port(), ca, path: '/held', agent }, ''));
    await waitFor(() => held.length === MAX, { what: 'all are being answered' });
    const refused = await silent();
    await waitFor(() => refused.isClosed, { what: 'one more is refused' });
    assert.ok(closed > before);
    held.forEach((end) => end());
    for (const answer of answers) assert.equal((await answer).status, 200);
    agent.destroy();
  });
});
