/** A function at zero is woken by each kind of caller, and by what needs it. */
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { echoClient } from '../helpers/grpc.ts';
import { send } from '../helpers/send.ts';
import { waitFor } from '../helpers/wait.ts';
import { until, openWorld } from './harness/world.ts';

const world = await openWorld();
const kept = async (name: string): Promise<string[]> =>
  (JSON.parse((await world.call(name, '/kept')).body) as { kept: string[] }).kept;

describe('from zero', { concurrency: 4 }, () => {
  it('by HTTP/1.1', async (t) => {
    await using fn = await world.deploy({ name: 'by-http' });
    const answer = await world.call(fn.name);
    assert.equal(answer.status, 200, answer.body);
    t.diagnostic(`answered after ${(answer.ms / 1_000).toFixed(2)} s`);
    assert.equal(await fn.replicas(), 1);
  });

  it('by a host that it claims, and one that it may not claim is an Event', async () => {
    const host = 'by-host.example.com';
    await using _fn = await world.deploy({
      name: 'by-host',
      annotations: { 'slimfaas.dev/hosts': `${host}, by-host.example.org` },
    });
    const answer = await send(`${world.proxyUrl}/hello`, { headers: { host } });
    assert.equal(answer.status, 200, answer.body);
    assert.match((JSON.parse(answer.body) as { pod: string }).pod, /^by-host/);
    const events = `/api/v1/namespaces/${world.namespace}/events`;
    await until(
      async () =>
        (await world.list(events)).some((e) => String(e['message']).includes('"by-host.example.org"')),
      'an Event names the other host',
    );
  });

  it('by a browser, which is shown that it starts, and then the app', async () => {
    await using fn = await world.deploy({
      name: 'by-browser',
      annotations: { 'slimfaas.dev/waiting-page': 1 },
      env: { START_MS: 2_000 },
    });
    const url = `${world.proxyUrl}/function/${fn.route}/hello`;
    const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate' };
    const shown = await send(url, { headers });
    assert.equal(shown.status, 503, shown.body);
    assert.match(shown.body, /<h1>by-browser is starting<\/h1>/);
    await until(
      async () => (await send(url, { headers })).status === 200,
      'the app takes the place of the page',
    );
  });

  it('a canary takes the calls that are its own, wakes by itself, and is a fault where nobody is split', async () => {
    const split = { 'slimfaas.dev/canary-of': 'split', 'slimfaas.dev/weight': 100 };
    await using stable = await world.deploy({ name: 'split' });
    await using canary = await world.deploy({ name: 'split-next', annotations: split });
    const answer = await world.call(stable.name);
    assert.match((JSON.parse(answer.body) as { pod: string }).pod, /^split-next/);
    assert.deepEqual([await stable.replicas(), await canary.replicas()], [0, 1]);
    const lost = { ...split, 'slimfaas.dev/canary-of': 'nobody' };
    await using _alone = await world.deploy({ name: 'split-alone', annotations: lost });
    const events = `/api/v1/namespaces/${world.namespace}/events`;
    await until(
      async () =>
        (await world.list(events)).some((e) => String(e['message']).includes('no function "nobody"')),
      'an Event says that nobody is split',
    );
  });

  it('by HTTP/2 with prior knowledge', async () => {
    await using fn = await world.deploy({ name: 'by-http2' });
    const session = connect(world.proxyUrl);
    after(() => session.destroy());
    const stream = session.request({ ':path': `/function/${fn.route}/hello` });
    const status = await new Promise((resolve, reject) => {
      stream.once('response', (headers) => resolve(headers[':status']));
      stream.once('error', reject).resume();
    });
    assert.equal(status, 200);
    session.destroy();
  });

  it('by gRPC, unary and streams, with a gRPC probe', async () => {
    await using fn = await world.deploy({
      name: 'by-grpc',
      app: 'grpc',
      annotations: { 'slimfaas.dev/app-protocol': 'grpc' },
      container: { readinessProbe: { grpc: { port: 5000 }, periodSeconds: 1 } },
    });
    using client = echoClient(world.proxyHost, fn.route);
    assert.equal((await client.unary('a')).value, 'echo a');
    const letters: string[] = [];
    for await (const letter of client.serverStream('xyz')) letters.push(letter as string);
    assert.deepEqual(letters, ['x', 'y', 'z']);
    await fn.waitForReady(1);
  });

  it('by a WebSocket', async () => {
    await using fn = await world.deploy({ name: 'by-websocket' });
    const socket = new WebSocket(`ws://${world.proxyHost}/function/${fn.route}/chat`);
    const echo = await new Promise<string>((resolve, reject) => {
      socket.once('open', () => socket.send('hello'));
      socket.once('message', (data) => resolve((data as Buffer).toString()));
      socket.once('error', reject);
    });
    assert.equal(echo, 'echo hello');
    socket.terminate();
  });

  it('by a job, which runs once', async () => {
    await using fn = await world.deploy({ name: 'by-job' });
    const posted = await send(`${world.proxyUrl}/async-function/${fn.route}/keep/one`, { method: 'POST' });
    assert.equal(posted.status, 201, posted.body);
    await fn.waitForReady(1);
    await until(async () => (await kept(fn.name)).length > 0, 'the job has run');
    assert.deepEqual(await kept(fn.name), ['one']);
  });

  it('by an event', async () => {
    await using fn = await world.deploy({
      name: 'by-event',
      annotations: { SubscribeEvents: 'Public:wake-up' },
    });
    const posted = await send(`${world.proxyUrl}/publish-event/wake-up.${world.namespace}/keep/two`, {
      method: 'POST',
    });
    assert.equal(posted.status, 204, posted.body);
    await fn.waitForReady(1);
    await waitFor(async () => (await kept(fn.name)).includes('two'), {
      what: 'the event came',
      intervalMs: 100,
    });
  });

  it('by its schedule', async () => {
    const Schedule = JSON.stringify({ TimeZoneID: 'Etc/UTC', Default: { WakeUp: ['00:00', minuteAgo()] } });
    await using fn = await world.deploy({ name: 'by-schedule', annotations: { Schedule } });
    await fn.waitForReady(1);
  });

  it('what it depends on wakes first', async () => {
    await using needed = await world.deploy({ name: 'needed', env: { START_MS: 500 } });
    await using fn = await world.deploy({ name: 'dependent', annotations: { DependsOn: 'needed' } });
    const answer = await world.call(fn.name);
    assert.equal(answer.status, 200, answer.body);
    const { startedAt } = JSON.parse(answer.body) as { startedAt: number };
    const first = JSON.parse((await world.call(needed.name)).body) as { listeningAt: number };
    assert.ok(
      first.listeningAt <= startedAt,
      `needed listened at ${first.listeningAt}, it started at ${startedAt}`,
    );
  });

  it('a StatefulSet', async () => {
    await using fn = await world.deploy({ name: 'stateful', kind: 'StatefulSet' });
    const answer = await world.call(fn.name);
    assert.equal((JSON.parse(answer.body) as { pod: string }).pod, 'stateful-0');
    await fn.waitForReady(1);
  });

  it('twenty callers at once: all are answered, by one pod', async () => {
    await using fn = await world.deploy({ name: 'crowd', annotations: { NumberParallelRequestPerPod: 20 } });
    const answers = await Promise.all(Array.from({ length: 20 }, () => world.call(fn.name)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(await fn.replicas(), 1);
  });

  it('and back to zero when nobody calls', async () => {
    await using fn = await world.deploy({
      name: 'sleeper',
      annotations: { TimeoutSecondBeforeSetReplicasMin: 3 },
    });
    assert.equal((await world.call(fn.name)).status, 200);
    await fn.waitForReplicas(0);
    await until(async () => (await fn.allPods()).length === 0, 'its pod is gone', 15_000);
  });
});

/** As a schedule says it: HH:mm. */
function minuteAgo(): string {
  return new Date(Date.now() - 60_000).toISOString().slice(11, 16);
}
