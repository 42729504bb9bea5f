/** Any pod may open connections to a port of health and metrics: they are bounded, and a probe always gets in. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createEdgeServer, createOperatorServer, type EdgeLimit } from '../../../../common/relay/index.ts';
import { waitFor } from '../../../helpers/wait.ts';

/** 4 MiB of idle connections, at 16 KiB each. */
const MOST = 256;

type Create = typeof createOperatorServer;

async function listening(
  t: TestContext,
  handle: (req: IncomingMessage, res: ServerResponse) => void,
  create: Create = createOperatorServer,
) {
  const met: EdgeLimit[] = [];
  const server = create(handle, (limit) => met.push(limit)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const open = async (text: string): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    if (text !== '') socket.write(text);
    return socket;
  };
  const isOpen = (): Promise<number> =>
    new Promise((resolve, reject) =>
      server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  const probe = async (): Promise<number | undefined> => {
    const req = request({ host: '127.0.0.1', port, path: '/health', agent: false });
    req.end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    res.resume();
    return res.statusCode;
  };
  return { open, isOpen, probe, met };
}

for (const [what, text] of [
  ['say nothing', ''],
  ['have been answered', 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n'],
] as const) {
  test(`connections that ${what} are bounded, and a probe gets in`, async (t) => {
    const { open, isOpen, probe, met } = await listening(t, (_req, res) => res.end('ok'));
    for (let i = 0; i < MOST + 150; i++) (await open(text)).resume();
    await waitFor(async () => (await isOpen()) <= MOST + 20, { what: 'the longest idle are closed' });
    assert.equal(await probe(), 200);
    assert.ok(met.includes('idle-bytes'), met.join());
  });
}

test('connections that do not read their answer give way too', async (t) => {
  const large = Buffer.alloc(8 * 1024 * 1024); // more than the kernel takes
  const few = { maxIdleBytes: 8 * 16 * 1024, evictsUnread: true };
  const { open, isOpen, probe, met } = await listening(
    t,
    (req, res) => res.end(req.url === '/metrics' ? large : 'ok'),
    (handle, onLimit) => createEdgeServer(handle, few, onLimit),
  );
  for (let i = 0; i < 30; i++) (await open('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n')).pause();
  await waitFor(() => met.length > 0, { what: 'the first are closed' });
  // Each new one makes room.
  await waitFor(async () => (await probe()) === 200 && (await isOpen()) <= 10, { what: 'few are left' });
});

test('what is being answered stays, as a hook that waits for its drain', async (t) => {
  let finish: (() => void) | undefined;
  const { open, isOpen, probe } = await listening(t, (req, res) => {
    if (req.url === '/drain') finish = () => res.end('drained');
    else res.end('ok');
  });
  const hook = await open('GET /drain HTTP/1.1\r\nHost: a\r\n\r\n');
  await waitFor(() => finish, { what: 'the drain begins' });
  for (let i = 0; i < MOST + 150; i++) (await open('')).resume();
  await waitFor(async () => (await isOpen()) <= MOST + 20, { what: 'the longest idle are closed' });
  assert.equal(await probe(), 200);
  finish?.();
  const [answer] = (await once(hook, 'data')) as [Buffer];
  assert.match(answer.toString(), /drained$/);
});
