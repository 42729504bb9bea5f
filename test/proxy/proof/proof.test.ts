/** Proxies prove themselves to real sidecars that ask for it: calls, WebSockets, places, and keys that change. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { createNkey, type Nkey } from '../../../common/identity/nkey.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { waitFor } from '../../helpers/wait.ts';
import { callUrl } from '../support/calls.ts';
import { startSidecarBeside } from '../support/real-sidecar.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';

const SECRET = 'slimfaas-proxy-keys';
const FLAGS = [`--proxy-keys-secret=${SECRET}`];

function setKeys(t: TestProxy, keys: readonly Nkey[]): void {
  t.kube.secrets.set(SECRET, Object.fromEntries(keys.map(({ seed }, i) => [`key-${i}.nk`, seed])));
}

interface Guarded extends AsyncDisposable {
  readonly ip: string;
  readonly app: Server;
}

/** A pod whose sidecar takes proofs of `key` alone. The watch is told what its spec says. */
async function startPod(t: TestProxy, name: string, key: Nkey, text = name): Promise<Guarded> {
  const ip = ownAddress();
  const app = createServer((_req, res) => res.end(text));
  app.listen(0, ip);
  await once(app, 'listening');
  const flags = ['--proxy-proof=required', `--proxy-keys=${key.publicKey}`];
  const { port } = app.address() as AddressInfo;
  const sidecar = await startSidecarBeside(t, { name, ip, port, flags });
  t.setPod('fib', name, ip, { proxyKeys: [key.publicKey] });
  return {
    ip,
    app,
    async [Symbol.asyncDispose]() {
      await sidecar.stop();
      app.close();
      app.closeAllConnections();
    },
  };
}

async function startGuarded(keys: readonly Nkey[], flags: readonly string[] = []): Promise<TestProxy> {
  const t = await startTestProxy([...FLAGS, ...flags]);
  setKeys(t, keys);
  t.addFunction('fib');
  return t;
}

const call = (t: TestProxy, path = ''): ReturnType<typeof callUrl> =>
  callUrl(`${t.url}/function/fib/${path}`);

describe('pods that ask for a proof of a proxy', () => {
  it('answer its calls and its WebSockets, and nobody who calls them past it', async () => {
    const key = createNkey('user');
    await using t = await startGuarded([key]);
    await using pod = await startPod(t, 'p', key);
    const sockets = new WebSocketServer({ noServer: true });
    pod.app.on('upgrade', (req, socket, head) =>
      sockets.handleUpgrade(req, socket, head, (client) => client.send('hi')),
    );
    assert.equal((await call(t)).text, 'p');
    const client = new WebSocket(`${t.url.replace('http', 'ws')}/function/fib/`);
    const [message] = (await once(client, 'message')) as [Buffer];
    assert.equal(message.toString(), 'hi');
    client.terminate();
    assert.equal((await callUrl(`http://${pod.ip}:15080/`)).status, 403);
  });

  it('grant it places from zero over the place line', async () => {
    const key = createNkey('user');
    await using t = await startGuarded([key]);
    const waiting = call(t);
    await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
    const ip = ownAddress();
    // Announced by its line alone: Kubernetes does not call it ready, and NATS is away.
    t.setPod('fib', 'p', ip, { isReady: false, proxyKeys: [key.publicKey] });
    const app = createServer((_req, res) => res.end('from zero'));
    app.listen(0, ip);
    await once(app, 'listening');
    const { port } = app.address() as AddressInfo;
    const flags = ['--proxy-proof=required', `--proxy-keys=${key.publicKey}`, '--nats=nats://127.0.0.1:9'];
    const sidecar = await startSidecarBeside(t, { name: 'p', ip, port, flags });
    assert.equal((await waiting).text, 'from zero');
    await sidecar.stop();
    app.close();
    app.closeAllConnections();
  });

  it('a key that is changed under load: pods of the old and of the new one are called, no call fails', async () => {
    const [old, next] = [createNkey('user'), createNkey('user')];
    await using t = await startGuarded([old]);
    await using _first = await startPod(t, 'first', old);
    await t.readyPods('fib', 1);
    const over = new AbortController();
    const seen: (readonly [status: number, by: string])[] = [];
    const caller = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const { status, text } = await call(t);
        seen.push([status, text]);
      }
    };
    const callers = [1, 2, 3, 4].map(() => caller());
    await waitFor(() => seen.length > 20, { what: 'calls run' });
    setKeys(t, [old, next]);
    // The proxy has not read the new key yet: the pod that asks for it makes it look.
    await using _second = await startPod(t, 'second', next);
    await waitFor(() => seen.some(([, by]) => by === 'second'), { what: 'the new pod is called' });
    const until = seen.length + 40;
    await waitFor(() => seen.length > until, { what: 'calls run on' });
    over.abort();
    await Promise.all(callers);
    assert.deepEqual([...new Set(seen.map(([status]) => status))], [200]);
    assert.ok(
      seen.slice(-40).some(([, by]) => by === 'first'),
      'the old one goes on',
    );
  });

  it('a proxy without the key: its call waits for another pod, and the caller that gets none is told why', async () => {
    const [key, lost] = [createNkey('user'), createNkey('user')];
    await using t = await startGuarded([key], ['--cold-start-timeout=2']);
    await using _lost = await startPod(t, 'lost', lost);
    await t.readyPods('fib', 1);
    const waiting = call(t);
    await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
    await using _good = await startPod(t, 'good', key);
    assert.equal((await waiting).text, 'good');
    const statuses = await Promise.all(Array.from({ length: 10 }, () => call(t)));
    assert.deepEqual([...new Set(statuses.map(({ text }) => text))], ['good'], 'nobody meets the other one');
    assert.match(
      (await statusOf(t, 'fib')).Pods.map(({ Trouble }) => Trouble).join(),
      /which this proxy does not have/,
    );
  });

  it('keys that are taken out of the Secret go on for pods that know no other', async () => {
    const [key, next] = [createNkey('user'), createNkey('user')];
    await using t = await startGuarded([key]);
    await using _pod = await startPod(t, 'p', key);
    assert.equal((await call(t)).text, 'p');
    setKeys(t, [next]);
    await using _other = await startPod(t, 'q', next);
    const texts = new Set<string>();
    await waitFor(async () => texts.add((await call(t)).text).size === 2, { what: 'both pods answer' });
  });

  it('the Secret comes after the proxy: calls wait for it', async () => {
    const key = createNkey('user');
    await using t = await startTestProxy(FLAGS);
    t.addFunction('fib');
    await using _pod = await startPod(t, 'p', key);
    await t.readyPods('fib', 1);
    const waiting = call(t);
    await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
    setKeys(t, [key]);
    assert.equal((await waiting).text, 'p');
  });
});
