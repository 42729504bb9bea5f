/** One connection that is held, by its own clock: what is left of it when it is refused, or when its pod has ended. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { ReasonError } from '../../../common/runtime/errors.ts';
import type { FunctionEntry } from '../../../proxy/functions/function-entry.ts';
import type { Endpoint } from '../../../proxy/pods/endpoint.ts';
import { HeldConnection, type HeldResult } from '../../../proxy/services/held-connection.ts';
import type { PodWaiter } from '../../../proxy/waiting/first-pod.ts';
import { waitFor } from '../../helpers/wait.ts';
import { FakeClock } from '../support/fake-clock.ts';

const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const GO_AWAY_MS = 5_000;
const HALF_OPEN_MS = 60_000;

class WatchedClock extends FakeClock {
  readonly asked: number[] = [];

  override after(ms: number, run: () => void): () => void {
    this.asked.push(ms);
    return super.after(ms, run);
  }
}

interface Pair extends AsyncDisposable {
  readonly client: Socket;
  readonly server: Socket;
}

async function connectedPair(): Promise<Pair> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  const [server] = (await once(listener, 'connection')) as [Socket];
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      client.destroy();
      server.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

function hold(socket: Socket, join: (waiter: PodWaiter) => void) {
  const clock = new WatchedClock();
  const results: HeldResult[] = [];
  const entry = {
    firstPod: {
      limits: { coldStartMs: 1_000 },
      join(waiter: PodWaiter) {
        join(waiter);
        return () => undefined;
      },
    },
    account: { opened: () => undefined, left: () => undefined },
  } as unknown as FunctionEntry;
  const onEnd = (result: HeldResult): void => void results.push(result);
  new HeldConnection({ socket, entry, target: '80', clock, onEnd }).start();
  return { clock, results };
}

test('a server of HTTP/2 that has ended is asked for no GOAWAY while its client does not read', async (t) => {
  await using pair = await connectedPair();
  const { client, server } = pair;
  const app = createServer().listen(0, '127.0.0.1');
  t.after(() => app.close());
  await once(app, 'listening');
  app.once('connection', (socket) => socket.on('error', () => undefined).end(SETTINGS));
  const endpoint = { host: '127.0.0.1', portOf: () => (app.address() as AddressInfo).port };
  // A socket whose client does not read: it takes nothing more, and never drains.
  server.write = () => false;
  server.end = () => server;
  client.write(PREFACE);
  const { clock, results } = hold(server, (waiter) => waiter.come(endpoint as unknown as Endpoint));
  await waitFor(() => clock.asked.includes(GO_AWAY_MS), { what: 'a GOAWAY is due' });
  await waitFor(() => clock.asked.includes(HALF_OPEN_MS), { what: 'the app has ended' });
  clock.advance(GO_AWAY_MS);
  clock.advance(HALF_OPEN_MS);
  await waitFor(() => results.length > 0, { what: 'it is over' });
  assert.deepEqual(results, ['served']);
});

test('one that is refused counts until it is closed', async () => {
  await using pair = await connectedPair();
  const { client, server } = pair;
  const { clock, results } = hold(server, (waiter) =>
    waiter.refused(new ReasonError('queue-full', 'too many wait')),
  );
  clock.advance(999);
  assert.deepEqual(results, []);
  assert.equal(server.destroyed, false);
  const closed = once(client.resume(), 'close');
  clock.advance(1);
  await closed;
  await waitFor(() => results.length > 0, { what: 'it is over' });
  assert.deepEqual(results, ['refused']);
});
