/** One post to one URL: where it goes, where it does not, and what ends it. Real receivers on loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { UrlAllow } from '../../../common/outbound/allow.ts';
import { nextDelayMs } from '../../../proxy/callbacks/deliverer.ts';
import { postResult } from '../../../proxy/callbacks/post.ts';
import { fewAtOnce, type Resolve } from '../../../common/outbound/resolve.ts';
import { CALLBACK_TTL_MS } from '../../../common/queue/settings.ts';

async function receiver(
  t: TestContext,
  listener: RequestListener,
): Promise<{ port: number; server: Server }> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

const nobody: Resolve = () => Promise.reject(new Error('must not be asked'));

function post(url: string, resolve: Resolve, timeoutMs = 5_000) {
  const allow = new UrlAllow(['hooks.test', '127.0.0.1']);
  return postResult({ url, elementId: 'an-id', body: Buffer.from('{"a":1}') }, { allow, resolve, timeoutMs });
}

test('a result is posted as JSON to the address that the name was found to have, under its name', async (t) => {
  const got: { req: IncomingMessage; body: string }[] = [];
  const { port } = await receiver(t, async (req, res) => {
    got.push({ req, body: Buffer.concat(await req.toArray()).toString() });
    res.writeHead(204).end();
  });
  const outcome = await post(`http://hooks.test:${port}/in?x=1`, async () => ['127.0.0.1']);
  assert.deepEqual(outcome, { kind: 'delivered', status: 204 });
  const [{ req, body } = assert.fail('nothing came')] = got;
  assert.deepEqual([req.method, req.url, body], ['POST', '/in?x=1', '{"a":1}']);
  assert.equal(req.headers.host, `hooks.test:${port}`);
  assert.equal(req.headers['slimfaas-element-id'], 'an-id');
  assert.match(String(req.headers['content-type']), /^application\/json/);
});

test('no rebinding: the name is resolved once, and the address that was judged is connected to', async (t) => {
  let asked = 0;
  let seen = 0;
  const { port } = await receiver(t, (_req, res) => {
    seen++;
    res.end();
  });
  // What the second answer would be is loopback that is not allowed; nobody may ask for it.
  const resolve: Resolve = async () => [asked++ === 0 ? '127.0.0.1' : '127.0.0.2'];
  assert.equal((await post(`http://hooks.test:${port}/`, resolve)).kind, 'delivered');
  assert.deepEqual([asked, seen], [1, 1]);
});

test('a name with one address inside is refused whole, and nothing is connected to', async (t) => {
  let connections = 0;
  const { port, server } = await receiver(t, (_req, res) => void res.end());
  server.on('connection', () => connections++);
  for (const bad of [
    '127.0.0.2',
    '10.0.0.1',
    '169.254.169.254',
    '::1',
    '::ffff:169.254.169.254',
    'nonsense',
  ]) {
    const outcome = await post(`http://hooks.test:${port}/`, async () => ['127.0.0.1', bad]);
    assert.equal(outcome.kind, 'refused', bad);
    assert.ok('why' in outcome && outcome.why.includes(bad), bad);
  }
  assert.equal(connections, 0);
});

test('a literal address is judged without a resolver; a URL that is not allowed asks nobody', async (t) => {
  const { port } = await receiver(t, (_req, res) => void res.end());
  assert.equal((await post(`http://127.0.0.1:${port}/`, nobody)).kind, 'delivered');
  for (const url of [
    `http://127.0.0.2:${port}/`,
    `http://[::1]:${port}/`,
    'http://other.test/',
    'ftp://hooks.test/',
  ])
    assert.equal((await post(url, nobody)).kind, 'refused', url);
});

test('a redirect is a failure and is not followed', async (t) => {
  let followed = 0;
  const other = await receiver(t, (_req, res) => {
    followed++;
    res.end();
  });
  const { port } = await receiver(t, (_req, res) => {
    res.writeHead(307, { Location: `http://127.0.0.1:${other.port}/` }).end();
  });
  const outcome = await post(`http://127.0.0.1:${port}/`, nobody);
  assert.deepEqual(outcome, { kind: 'failed', why: 'the receiver answered 307' });
  assert.equal(followed, 0);
});

test('an endless answer is cut at its head, a silent receiver and a silent resolver at the time', async (t) => {
  const cut = Promise.withResolvers<void>();
  const endless = await receiver(t, (_req, res) => {
    const timer = setInterval(() => res.write('x'.repeat(1_024)), 5);
    res.once('close', () => {
      clearInterval(timer);
      cut.resolve();
    });
    res.writeHead(200).write('x');
  });
  assert.equal((await post(`http://127.0.0.1:${endless.port}/`, nobody)).kind, 'delivered');
  await cut.promise;
  const silent = await receiver(t, () => undefined);
  const late = { kind: 'failed', why: 'no answer within 0.2 s' };
  assert.deepEqual(await post(`http://127.0.0.1:${silent.port}/`, nobody, 200), late);
  assert.deepEqual(await post('http://hooks.test/', () => new Promise(() => undefined), 200), late);
});

test('names are resolved few at once, in order; beyond a short line not at all', async () => {
  const open: { host: string; done: PromiseWithResolvers<string[]> }[] = [];
  const names = fewAtOnce(
    (host) => {
      const done = Promise.withResolvers<string[]>();
      open.push({ host, done });
      return done.promise;
    },
    { atOnce: 2, inLine: 2 },
  );
  const { resolve } = names;
  const asked = ['a', 'b', 'c', 'd'].map((host) => resolve(host));
  await assert.rejects(resolve('e'), /too many names/);
  assert.equal(names.open, 4);
  assert.deepEqual(
    open.map(({ host }) => host),
    ['a', 'b'],
  );
  open[0]?.done.reject(new Error('gone'));
  await assert.rejects(asked[0] ?? assert.fail(), /gone/);
  assert.equal(open[2]?.host, 'c', 'a failure gives its turn on too');
  for (const [i, name] of ['b', 'c', 'd'].entries()) {
    open[i + 1]?.done.resolve([name]);
    assert.deepEqual(await asked[i + 1], [name]);
  }
  const last = resolve('f');
  assert.equal(open.at(-1)?.host, 'f', 'nobody is in line any more');
  open.at(-1)?.done.resolve(['f']);
  await last;
});

test('what may become better is tried again; 410 may not', async (t) => {
  for (const [status, kind] of [
    [500, 'failed'],
    [404, 'failed'],
    [429, 'failed'],
    [410, 'refused'],
  ] as const) {
    const { port } = await receiver(t, (_req, res) => void res.writeHead(status).end());
    assert.equal((await post(`http://127.0.0.1:${port}/`, nobody)).kind, kind, String(status));
  }
  const { port, server } = await receiver(t, () => undefined);
  server.close();
  assert.equal((await post(`http://127.0.0.1:${port}/`, nobody)).kind, 'failed', 'nobody listens');
  const gone = await post('http://hooks.test/', () => Promise.reject(new Error('NXDOMAIN')));
  assert.deepEqual(gone, { kind: 'failed', why: 'NXDOMAIN' });
});

test('tries come when the age has doubled, an hour apart at most, for a day', () => {
  assert.equal(nextDelayMs(0), 2_000);
  assert.equal(nextDelayMs(-5), 2_000, 'clocks of two machines');
  assert.equal(nextDelayMs(2_000), 2_000);
  assert.equal(nextDelayMs(60_000), 60_000);
  assert.equal(nextDelayMs(10 * 3_600_000), 3_600_000);
  let tries = 1;
  for (let age = 10, delay = nextDelayMs(age); delay !== undefined; delay = nextDelayMs(age)) {
    age += delay;
    tries++;
    assert.ok(age < CALLBACK_TTL_MS);
  }
  assert.ok(tries > 30 && tries < 40, `${tries} tries`);
});
