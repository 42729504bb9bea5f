/** Each type of source against a real server, as far as there is one: values, faults, and what it costs nobody else. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect, nanos } from 'nats';
import { ownAddress } from '../../helpers/addresses.ts';
import { startNats } from '../../helpers/nats.ts';
import { serve } from '../../helpers/serve.ts';
import { waitFor } from '../../helpers/wait.ts';
import { SourcesWorld } from '../support/sources-world.ts';

const trigger = (query: string) => ({ Query: query, Threshold: 1 });

test('metrics: a page is read, each query sees its own source alone, and labels stay as the exporter has them', async (t) => {
  const pages = { a: 'jobs{function="x",pod="p"} 73\njobs{function="y"} 2\n', b: 'jobs 5\n' };
  const host = await serve(t, (req, res) => res.end(pages[req.url === '/a' ? 'a' : 'b']));
  const world = new SourcesWorld(t);
  const sums = [
    trigger('sum(jobs)'),
    trigger('jobs{function="y"}'),
    trigger('sum(jobs{function=~".*",namespace=~".*"})'),
  ];
  const readA = world.ask({ Url: `http://${host}/a` }, sums, 'a');
  const readB = world.ask({ Url: `http://${host}/b` }, [trigger('sum(jobs)')], 'b');
  const valuesOf = (read: typeof readA) => read()?.map(({ value }) => value);
  await waitFor(() => readA() && readB(), { what: 'both have answered' });
  assert.deepEqual([valuesOf(readA), valuesOf(readB)], [[75, 2, 75], [5]]);
  pages.b = 'jobs 9\n';
  await waitFor(() => valuesOf(readB)?.[0] === 9, { what: 'the new value, an interval later' });
});

test('metrics: what a range looks back on is missing at first; names that nothing has are a fault', async (t) => {
  const host = await serve(t, (_req, res) => res.end('done_total 7\n'));
  const world = new SourcesWorld(t);
  const triggers = [
    trigger('sum(increase(done_total[1m]))'),
    trigger('max_over_time(done_total[1m])'),
    trigger('done'),
  ];
  const [, whole, wrong] = await world.first({ Url: `http://${host}/` }, ...triggers, trigger('sum('));
  assert.deepEqual([whole?.value, whole?.isWhole], [7, false]);
  assert.deepEqual(wrong, { value: undefined, fault: 'no series match done{}' });
});

for (const [what, answer, fault] of [
  ['a status', (res) => void (res.statusCode = 503), /^status 503$/],
  [
    'a redirect',
    (res) => void res.writeHead(302, { location: 'http://127.0.0.1:1/' }),
    /redirect \(302\) refused/,
  ],
  ['too much', (res) => void res.write('x'.repeat(3 * 1024 * 1024)), /above 2097152 bytes/],
] as [string, (res: import('node:http').ServerResponse) => void, RegExp][])
  test(`metrics: ${what} is a fault`, async (t) => {
    const host = await serve(t, (_req, res) => {
      answer(res);
      res.end();
    });
    const [reading] = await new SourcesWorld(t).first({ Url: `http://${host}/` }, trigger('x'));
    assert.match(reading?.fault ?? '', fault);
  });

test('metrics: a page that does not come is a fault after its time', async (t) => {
  const host = await serve(t, () => {});
  const world = new SourcesWorld(t, { pollMs: 100 });
  const [reading] = await world.first({ Url: `http://${host}/` }, trigger('x'));
  assert.match(reading?.fault ?? '', /no answer within 0.1 s/);
});

test('credentials are shown to the source', async (t) => {
  const seen: unknown[] = [];
  const host = await serve(t, (req, res) => {
    seen.push(req.headers.authorization);
    res.end('x 1\n');
  });
  await new SourcesWorld(t, { credentials: { token: 's3cret' } }).first(
    { Url: `http://${host}/` },
    trigger('x'),
  );
  const login = { username: 'me', password: 'pw' };
  await new SourcesWorld(t, { credentials: login }).first({ Url: `http://${host}/` }, trigger('x'));
  assert.deepEqual(seen, ['Bearer s3cret', `Basic ${Buffer.from('me:pw').toString('base64')}`]);
});

test('prometheus: each query is asked, and what it says of a bad one is told', async (t) => {
  const host = await serve(t, (req, res) => {
    let body = '';
    req.on('data', (piece) => (body += piece));
    req.on('end', () => {
      const query = new URLSearchParams(body).get('query');
      const result = query === 'none' ? [] : [{ metric: {}, value: [1, '42'] }];
      const bad = { status: 'error', error: 'parse error: unexpected end' };
      if (query === 'sum(') res.statusCode = 400;
      const good = { status: 'success', data: { resultType: 'vector', result } };
      res.end(JSON.stringify(query === 'sum(' ? bad : good));
    });
  });
  const world = new SourcesWorld(t);
  const triggers = [trigger('jobs'), trigger('none'), trigger('sum(')];
  const [good, none, bad] = await world.first(
    { Type: 'prometheus', Url: `http://${host}/base` },
    ...triggers,
  );
  assert.deepEqual([good, none?.fault], [{ value: 42 }, 'the query has no result']);
  assert.match(bad?.fault ?? '', /status 400: parse error: unexpected end/);
});

function hasPrometheus(): boolean {
  try {
    execFileSync('prometheus', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const skip = hasPrometheus() ? false : 'prometheus is not installed';

test('prometheus: a real one', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'slimfaas-prometheus-'));
  writeFileSync(join(folder, 'prometheus.yml'), '');
  const host = ownAddress();
  const address = `${host}:${await freePort(host)}`;
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const child = spawn('prometheus', [...args, `--web.listen-address=${address}`], { stdio: 'ignore' });
  t.after(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  await waitFor(async () => (await fetch(`http://${address}/-/ready`)).ok, { what: 'prometheus is ready' });
  const source = { Type: 'prometheus', Url: `http://${address}` };
  const [sum, broken] = await new SourcesWorld(t).first(
    source,
    trigger('sum(vector(3) + 4)'),
    trigger('sum('),
  );
  assert.equal(sum?.value, 7);
  assert.match(broken?.fault ?? '', /status 400/);
});

/** Of an address that is this file's alone: nobody else takes it meanwhile. */
async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function withConsumer(t: TestContext, config = '', login: object = {}) {
  const nats = await startNats({ config });
  const connection = await connect({ servers: nats.url, ...login });
  t.after(async () => {
    await connection.close();
    await nats.stop();
  });
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'WORK', subjects: ['work.>'] });
  await manager.consumers.add('WORK', {
    durable_name: 'worker',
    ack_policy: 'explicit' as never,
    ack_wait: nanos(60_000),
  });
  const source = { Type: 'nats-jetstream', Url: nats.url, Stream: 'WORK', Consumer: 'worker' };
  return { nats, connection, source };
}

test('nats-jetstream: lag is what is not delivered and what is not acknowledged', async (t) => {
  const { connection, source } = await withConsumer(t);
  const world = new SourcesWorld(t);
  const read = world.ask(source, [{ Threshold: 5 }]);
  await waitFor(() => read()?.[0]?.value === 0, { what: 'no lag' });
  for (let i = 0; i < 3; i++) await connection.jetstream().publish('work.x');
  await waitFor(() => read()?.[0]?.value === 3, { what: 'three are not delivered' });
  const consumer = await connection.jetstream().consumers.get('WORK', 'worker');
  const message = await consumer.next();
  await waitFor(() => read()?.[0]?.value === 3, { what: 'one of them is not acknowledged' });
  await message?.ackAck();
  await waitFor(() => read()?.[0]?.value === 2, { what: 'two are left' });
});

test('nats-jetstream: a login, a consumer that is not there, a server that comes back', async (t) => {
  const config = 'authorization { user: me, password: pw }';
  const { nats, source } = await withConsumer(t, config, { user: 'me', pass: 'pw' });
  const [refused] = await new SourcesWorld(t).first(source, { Threshold: 5 });
  assert.match(refused?.fault ?? '', /authorization/i);
  const world = new SourcesWorld(t, { credentials: { username: 'me', password: 'pw' } });
  const missing = await world.first({ ...source, Consumer: 'nobody' }, { Threshold: 5 });
  assert.match(missing[0]?.fault ?? '', /consumer not found/);
  const read = world.ask(source, [{ Threshold: 5 }], 'other');
  await waitFor(() => read()?.[0]?.value === 0, { what: 'an answer' });
  await nats.kill();
  await waitFor(() => read()?.[0]?.fault, { what: 'a fault' });
  await nats.restart();
  await waitFor(() => read()?.[0]?.value === 0, { what: 'an answer again' });
});

test('cron: a window opens and closes, in its zone', async (t) => {
  const source = {
    Type: 'cron',
    Start: '0 8 * * 1-5',
    End: '30 17 * * *',
    TimeZone: 'Europe/Paris',
    DesiredReplicas: 4,
  };
  for (const [time, value] of [
    ['2026-11-27T06:59:59Z', 0], // 07:59 in Paris
    ['2026-11-27T07:00:00Z', 4],
    ['2026-11-27T16:29:59Z', 4],
    ['2026-11-27T16:30:00Z', 0],
    ['2026-11-28T12:00:00Z', 0], // Saturday
  ] as const) {
    const world = new SourcesWorld(t, { now: () => Date.parse(time) });
    assert.deepEqual(await world.first(source, { Threshold: 1 }), [{ value }], time);
    world.stop();
  }
  const never = { ...source, Start: '0 0 31 2 *' };
  const [reading] = await new SourcesWorld(t).first(never, { Threshold: 1 });
  assert.match(reading?.fault ?? '', /0 0 31 2 \* never comes/);
});

test('cron: it is asked when the window opens, and not an interval later', async (t) => {
  let nowMs = Date.parse('2026-11-27T06:59:59.900Z');
  const since = performance.now();
  const source = {
    Type: 'cron',
    IntervalMilliseconds: 300_000,
    Start: '0 8 * * *',
    End: '0 9 * * *',
    TimeZone: 'Europe/Paris',
  };
  const begun = nowMs;
  const world = new SourcesWorld(t, { now: () => (nowMs = begun + performance.now() - since) });
  const read = world.ask(source, [{ Threshold: 1 }]);
  await waitFor(() => read()?.[0]?.value === 1, { what: 'the window is open' });
});
