/** NATS by name and by an address at hand: who is tried when, and what is found again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { connectFirst, natsServers } from '../../../common/bus/nats-servers.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { startNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';

const NAMED = ['nats://a.ns.svc:4333'];

test('an address at hand takes the port of the name, and goes before it; what is no address is none', () => {
  const server = NAMED[0] as string;
  assert.deepEqual(natsServers(server, '10.0.0.1').atHand, ['nats://10.0.0.1:4333', server]);
  assert.deepEqual(natsServers(server, 'fd00::1').atHand, ['nats://[fd00::1]:4333', server]);
  assert.deepEqual(natsServers('nats://a', '10.0.0.1').atHand, ['nats://10.0.0.1:4222', 'nats://a']);
  for (const address of [undefined, '', '$(SLIMFAAS_NATS_SERVICE_HOST)', 'a name'])
    assert.deepEqual(natsServers(' nats://a , nats://b ', address), {
      named: ['nats://a', 'nats://b'],
      atHand: undefined,
    });
});

interface Attempt {
  readonly first: string | undefined;
  readonly resolve: (connection: { close(): Promise<void> }) => void;
  readonly reject: (error: Error) => void;
}

function attempts(): { all: Attempt[]; connect: (servers: readonly string[]) => Promise<Closing> } {
  const all: Attempt[] = [];
  return {
    all,
    connect: ([first]) => new Promise((resolve, reject) => void all.push({ first, resolve, reject })),
  };
}

type Closing = { close(): Promise<void> };

function connection(): Closing & { isClosed: boolean } {
  return {
    isClosed: false,
    async close() {
      this.isClosed = true;
    },
  };
}

test('while the address is quick nobody asks for the name', async () => {
  const { all, connect } = attempts();
  const connected = connectFirst(natsServers(NAMED[0] as string, '10.0.0.1'), connect, 60_000);
  const first = connection();
  all[0]?.resolve(first);
  assert.equal(await connected, first);
  await new Promise(setImmediate);
  assert.deepEqual(
    all.map((attempt) => attempt.first),
    ['nats://10.0.0.1:4333'],
  );
});

test('an address that fails or keeps silent is overtaken by the name, and its late connection is closed', async () => {
  const { all, connect } = attempts();
  const servers = natsServers(NAMED[0] as string, '10.0.0.1');
  const refused = connectFirst(servers, connect, 60_000);
  all[0]?.reject(new Error('refused'));
  await waitFor(() => all[1], { what: 'the name is tried' });
  const named = connection();
  all[1]?.resolve(named);
  assert.equal(await refused, named);

  const silent = connectFirst(servers, connect, 0);
  await waitFor(() => all[3], { what: 'the name is tried beside it' });
  all[3]?.resolve(named);
  assert.equal(await silent, named);
  const late = connection();
  all[2]?.resolve(late);
  await waitFor(() => late.isClosed, { what: 'the late one is closed' });
  assert.equal(named.isClosed, false);
});

test('when both fail it is said why the name did', async () => {
  const { all, connect } = attempts();
  const failed = connectFirst(natsServers(NAMED[0] as string, '10.0.0.1'), connect, 0);
  await waitFor(() => all[1], { what: 'both are tried' });
  all[0]?.reject(new Error('the address'));
  all[1]?.reject(new Error('the name'));
  await assert.rejects(failed, /the name/);
});

/** A Service's address: passes connections on to the server, until it is deleted. */
async function startForward(host: string, port: number, to: string): Promise<Server & { count: number }> {
  const sockets = new Set<Socket>();
  const forward = Object.assign(createServer(), { count: 0 });
  forward.on('connection', (socket: Socket) => {
    forward.count += 1;
    const target = connectSocket({ host: to, port });
    for (const each of [socket, target]) {
      sockets.add(each);
      each.on('error', () => undefined);
    }
    socket.pipe(target).pipe(socket);
  });
  forward.on('close', () => undefined);
  forward.listen(port, host);
  await once(forward, 'listening');
  const close = forward.close.bind(forward);
  forward.close = (done) => {
    for (const socket of sockets) socket.destroy();
    return close(done);
  };
  return forward;
}

test('a link comes by the address, and by the name when the address is no more', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const address = ownAddress();
  const service = await startForward(address, server.port, server.host);
  t.after(() => service.close());
  // Where the name leads nobody listens yet: on a busy machine it could be ahead of the address.
  const named = ownAddress();
  const servers = `nats://${named}:${server.port}`;
  const link = openNatsLink({ servers, address, name: 'test', log: silentLog });
  t.after(() => link.stop());
  await waitFor(() => link.isConnected, { what: 'connected by the address' });
  const byName = await startForward(named, server.port, server.host);
  t.after(() => byName.close());
  const changes: boolean[] = [];
  link.onStatus((isConnected) => changes.push(isConnected));
  service.close();
  await waitFor(() => changes.at(-1) === true, { what: 'connected again', timeoutMs: 15_000 });
  assert.deepEqual(changes, [false, true]);
});

test('an address that takes connections and says nothing, as that of a deleted Service, holds up nobody', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const address = ownAddress();
  const taken: Socket[] = [];
  const mute = createServer((socket) => void taken.push(socket.on('error', () => undefined)));
  mute.listen(server.port, address);
  await once(mute, 'listening');
  t.after(() => {
    for (const socket of taken) socket.destroy();
    mute.close();
  });
  const link = openNatsLink({ servers: server.url, address, name: 'test', log: silentLog });
  t.after(() => link.stop());
  await waitFor(() => link.isConnected, { what: 'connected by name' });
});
