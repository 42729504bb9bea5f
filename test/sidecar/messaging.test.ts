/** What a sidecar says and hears on NATS, against a real server. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../common/runtime/log.ts';
import {
  decodeActivity,
  decodeReady,
  encodeMessage,
  type ActivityMessage,
  type ReadyMessage,
} from '../../common/bus/messages.ts';
import { openNatsLink, type NatsLink } from '../../common/bus/nats.ts';
import { functionSubject } from '../../common/bus/subjects.ts';
import { startNats, type TestNats } from '../helpers/nats.ts';
import { isFasterThan, waitFor } from '../helpers/wait.ts';
import { App, holding } from './support/app.ts';
import { metricIs, sidecarFor, type SidecarSettings, type TestSidecar } from './support/sidecar.ts';

const ID = { namespace: 'ns', name: 'fn' };
const LIMIT = 'slimfaas_sidecar_limit';

/** Hears everything a sidecar says, as proxies and scaler do. */
class Ear implements AsyncDisposable {
  readonly link: NatsLink;
  readonly ready: ReadyMessage[] = [];
  readonly activity: ActivityMessage[] = [];

  constructor(servers: string) {
    this.link = openNatsLink({ servers, name: 'ear', log: silentLog });
    this.link.subscribe(functionSubject('ready', ID), (_, data) => this.ready.push(decodeReady(data)));
    this.link.subscribe(functionSubject('activity', ID), (_, data) =>
      this.activity.push(decodeActivity(data)),
    );
  }

  static async at(servers: string): Promise<Ear> {
    const ear = new Ear(servers);
    await waitFor(() => ear.link.isConnected, { what: 'the ear is connected' });
    return ear;
  }

  /** As the scaler does. */
  share(shares: Record<string, number>): void {
    this.link.publish(functionSubject('share', ID), encodeMessage({ limit: 10, shares }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link.stop();
  }
}

function sidecarOn(nats: TestNats, app: App, settings: SidecarSettings = {}): Promise<TestSidecar> {
  return sidecarFor(app.port, {
    ...settings,
    flags: { nats: nats.url, 'pod-ip': '127.0.0.1', ...settings.flags },
  });
}

/** Said again and again, as the scaler does: the first may come before the sidecar's subscription. */
async function shareUntil(ear: Ear, sidecar: TestSidecar, share: number, expected = share): Promise<void> {
  await waitFor(
    async () => {
      ear.share({ 'fn-1': share, 'fn-2': 1 });
      return (await sidecar.metric(LIMIT)) === expected;
    },
    { what: `the limit is ${expected}`, intervalMs: 50 },
  );
}

describe('sidecar: an app that takes no calls', () => {
  it('is told to the scaler with the port and the last error, and so is its end', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    const { port } = app;
    await app.close();
    await using _sidecar = await sidecarFor(port, { flags: { nats: nats.url }, noWait: true });
    await waitFor(() => ear.activity.some(({ trouble }) => trouble !== undefined), { what: 'it is told' });
    assert.equal(ear.activity.at(-1)?.trouble, `port ${port} refuses connections: ECONNREFUSED`);
    await app.listen(port);
    await waitFor(() => ear.ready.length > 0, { what: 'ready' });
    await waitFor(() => ear.activity.at(-1)?.trouble === undefined, { what: 'its end is told' });
  });
});

describe('sidecar: ready', () => {
  it('is announced with pod, IP and port the moment the app passes, and repeated', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app);
    await waitFor(() => ear.ready.length >= 3, { what: 'ready and two repeats' });
    const { start, ...said } = ear.ready[0] ?? {};
    assert.deepEqual(said, { pod: 'fn-1', ip: '127.0.0.1', port: sidecar.port, state: 'ready', seq: 0 });
    assert.ok(ear.ready.every((message) => message.start === start && message.seq === 0));
    await waitFor(() => ear.activity.length > 0, { what: 'a report' });
    assert.equal(ear.activity[0]?.start, start);
  });

  it('is said under the pod’s own name where NATS knows who speaks', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    const heard = new Set<string>();
    for (const kind of ['ready', 'activity'] as const)
      ear.link.subscribe(`slimfaas.${kind}.>`, (subject) => heard.add(subject));
    await using app = await new App().listen();
    await using _sidecar = await sidecarOn(nats, app, { flags: { auth: 'permissive' } });
    await waitFor(() => heard.size >= 2, { what: 'both are said' });
    assert.deepEqual([...heard].toSorted(), ['slimfaas.activity.ns.fn.fn-1', 'slimfaas.ready.ns.fn.fn-1']);
  });

  it('is announced after NATS came up later than the app', async () => {
    await using nats = await startNats();
    await using app = await new App().listen();
    await nats.kill();
    await using sidecar = await sidecarOn(nats, app);
    assert.equal((await sidecar.call()).status, 200, 'serves without NATS');
    await nats.restart();
    await using ear = await Ear.at(nats.url);
    await waitFor(() => ear.ready.length > 0, { what: 'ready after the reconnect' });
  });

  it('becomes draining when the drain begins, and ready is not said again', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app);
    await waitFor(() => ear.ready.length > 0, { what: 'ready' });
    await sidecar.admin('/drain');
    const from = ear.ready.findIndex((message) => message.state === 'draining');
    assert.ok(from > 0);
    assert.ok(ear.ready.slice(from).every((message) => message.state === 'draining'));
  });

  it('is said again, with a higher number, when a drain is taken back', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app, { flags: { 'drain-seconds': 0.4 } });
    await waitFor(() => ear.ready.length > 0, { what: 'ready' });
    await sidecar.admin('/drain');
    await waitFor(() => ear.ready.at(-1)?.seq === 2, { what: 'the word after draining' });
    const states = new Map(ear.ready.map(({ seq, state }) => [seq, state]));
    assert.deepEqual([...states.values()], ['ready', 'draining', 'ready']);
  });

  it('is left to Kubernetes where the probe is an exec probe', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    const flags = { 'readiness-probe': '{"exec":{"command":["true"]}}' };
    await using sidecar = await sidecarOn(nats, app, { flags });
    assert.equal((await sidecar.proxyCall()).status, 200);
    await waitFor(() => ear.activity.length > 0, { what: 'a report: the link is up' });
    assert.deepEqual(ear.ready, []);
  });
});

describe('sidecar: its share of NumberParallelRequest', () => {
  const flags = { 'parallel-limit': 10, 'parallel-per-pod': 4 };

  it('is one until it is heard, then what was said, at most the pod’s own limit', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app, { flags });
    assert.equal(await sidecar.metric(LIMIT), 1);
    await shareUntil(ear, sidecar, 3);
    await shareUntil(ear, sidecar, 9, 4);
    ear.share({ 'fn-2': 10 });
    ear.link.publish(functionSubject('share', ID), Buffer.from('{"nonsense":true}'));
    ear.share({ 'fn-1': 2 });
    await metricIs(sidecar, LIMIT, 2);
  });

  it('is kept when NATS goes and taken up again when it is back', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app, { flags });
    await shareUntil(ear, sidecar, 3);
    await nats.kill();
    assert.equal((await sidecar.call()).status, 200);
    assert.equal(await sidecar.metric(LIMIT), 3);
    await nats.restart();
    await shareUntil(ear, sidecar, 2);
  });

  it('is ignored where there is no limit over pods', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app, { flags: { 'parallel-per-pod': 5 } });
    await waitFor(() => ear.activity.length > 0, { what: 'a report: the link is up' });
    ear.share({ 'fn-1': 1 });
    await sidecar.call();
    await waitFor(() => ear.activity.some((a) => a.finished > 0), { what: 'a report after the share' });
    assert.equal(await sidecar.metric(LIMIT), 5);
  });

  for (const isProcess of [false, true])
    it(`behaviour 6: lowered under running: none is killed, none admitted until below; raised: the difference (${isProcess ? 'a process of its own' : 'in this process'})`, async () => {
      await using nats = await startNats();
      await using ear = await Ear.at(nats.url);
      const hold = holding();
      await using app = await new App(hold.handler).listen();
      await using sidecar = await sidecarOn(nats, app, {
        isProcess,
        flags: { 'parallel-limit': 10, 'parallel-per-pod': 5 },
      });
      await shareUntil(ear, sidecar, 4);
      const calls = Array.from({ length: 8 }, () => sidecar.call());
      await metricIs(sidecar, 'slimfaas_sidecar_waiting', 4);
      await shareUntil(ear, sidecar, 2);
      assert.equal(app.running, 4, 'none is killed');
      hold.held.shift()?.end();
      hold.held.shift()?.end();
      await metricIs(sidecar, 'slimfaas_sidecar_running', 2);
      assert.equal(await sidecar.metric('slimfaas_sidecar_waiting'), 4, 'none is admitted');
      assert.equal(app.count, 4);
      await shareUntil(ear, sidecar, 5);
      await metricIs(sidecar, 'slimfaas_sidecar_running', 5);
      assert.equal(await sidecar.metric('slimfaas_sidecar_waiting'), 1, 'exactly the difference is admitted');
      hold.releaseAll();
      assert.deepEqual(
        (await Promise.all(calls)).map(({ status }) => status),
        Array.from({ length: 8 }, () => 200),
      );
      assert.equal(app.mostRunning, 5);
    });

  it('lowered under running: reported at once, and again when running has fallen to it', async () => {
    const { handler, held } = holding();
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App(handler).listen();
    await using sidecar = await sidecarOn(nats, app, { flags });
    const heard = (limit: number, runningNow: number, from: number) =>
      ear.activity.slice(from).some((a) => a.limit === limit && a.runningNow === runningNow);
    // Both reports, and in less than the second after which the next regular one would say the same.
    const measure = async (): Promise<number> => {
      await shareUntil(ear, sidecar, 3);
      const calls = [sidecar.call(), sidecar.call(), sidecar.call()];
      await waitFor(() => held.length === 3, { what: 'three run' });
      const from = ear.activity.length;
      const begun = performance.now();
      ear.share({ 'fn-1': 2 });
      await waitFor(() => heard(2, 3, from), { what: 'the overhang is reported', intervalMs: 1 });
      held.shift()?.end();
      await waitFor(() => heard(2, 2, from), { what: 'the end of the overhang is reported', intervalMs: 1 });
      const took = performance.now() - begun;
      for (const res of held.splice(0)) res.end();
      await Promise.all(calls);
      await metricIs(sidecar, 'slimfaas_sidecar_running', 0);
      return took;
    };
    await isFasterThan(500, measure, { what: 'both reports', tries: 5 });
  });
});

describe('sidecar: activity', () => {
  it('is reported each second while anything runs, averaged by time, and adds up to what happened', async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App((req, res) => {
      res.statusCode = req.url === '/bad' ? 500 : 200;
      setTimeout(() => res.end(), 400);
    }).listen();
    await using sidecar = await sidecarOn(nats, app);
    await waitFor(() => ear.activity.length > 0, { what: 'the first report' });
    const begun = performance.now();
    await Promise.all([sidecar.call(), sidecar.call(), sidecar.call('/bad')]);
    const callersSeconds = (performance.now() - begun) / 1_000;
    const total = (field: 'started' | 'finished' | 'failed') =>
      ear.activity.reduce((sum, message) => sum + message[field], 0);
    await waitFor(() => total('finished') === 3, { what: 'three finished' });
    assert.deepEqual([total('started'), total('failed')], [3, 1]);
    // Three calls of 400 ms: 1.2 call-seconds, however the windows cut them.
    const callSeconds = ear.activity.reduce((sum, a) => sum + (a.running * a.windowMs) / 1_000, 0);
    // At least what the app's own timers took; at most what three calls can have taken, as their caller saw it.
    assert.ok(callSeconds > 1.1 && callSeconds <= 3 * callersSeconds, `${callSeconds} call-seconds`);
    const last = ear.activity.at(-1);
    assert.deepEqual([last?.source, last?.pod, last?.limit], ['sidecar', 'fn-1', 10]);
  });

  it('behaviour 8: probes of a full pod are no activity', async () => {
    const { handler, releaseAll } = holding();
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App((req, res, nth) => {
      if (req.url === '/healthz') return void res.end('alive');
      handler(req, res, nth);
    }).listen();
    await using sidecar = await sidecarOn(nats, app, { flags: { 'parallel-per-pod': 1 } });
    const call = sidecar.call();
    await waitFor(() => ear.activity.some((a) => a.started === 1), { what: 'the call is reported' });
    const from = ear.activity.length;
    for (let i = 0; i < 10; i++) {
      const probe = await sidecar.call('/healthz', { headers: { 'user-agent': 'kube-probe/1.34' } });
      assert.equal(probe.body, 'alive');
    }
    await waitFor(() => ear.activity.length >= from + 2, { what: 'what happened is reported' });
    for (const { started, finished, failed, waiting, runningNow } of ear.activity.slice(from))
      assert.deepEqual([started, finished, failed, waiting, runningNow], [0, 0, 0, 0, 1]);
    releaseAll();
    await call;
  });

  it('tells of those who wait', async () => {
    const { handler, releaseAll } = holding();
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App(handler).listen();
    await using sidecar = await sidecarOn(nats, app, { flags: { 'parallel-per-pod': 1 } });
    const calls = [sidecar.call(), sidecar.call()];
    await waitFor(() => ear.activity.some((a) => a.runningNow === 1 && a.waiting === 1), {
      what: 'one waits',
    });
    releaseAll();
    await Promise.all(calls);
  });

  it('when idle is silent between the reports of every 10 s', { timeout: 30_000 }, async () => {
    await using nats = await startNats();
    await using ear = await Ear.at(nats.url);
    await using app = await new App().listen();
    await using sidecar = await sidecarOn(nats, app);
    await waitFor(() => ear.ready.length >= 4, { what: 'the start is over' });
    const { length } = ear.activity;
    const begun = performance.now();
    await waitFor(() => ear.activity.length > length, { what: 'an idle report', timeoutMs: 15_000 });
    assert.ok(performance.now() - begun > 2_500, 'not each second');
    assert.equal(ear.activity.at(-1)?.running, 0);
    assert.ok(sidecar.port > 0);
  });
});
