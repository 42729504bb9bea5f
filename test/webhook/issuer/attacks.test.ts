/**
 * What a hostile container could try on NATS once it has the token of its pod's sidecar. JWTs are of the real exchange,
 * on a server that knows the accounts as the chart's does; streams and consumers are made with the scaler's identity.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { headers } from 'nats';
import { functionSubject, podSubject, resultSubject } from '../../../common/bus/subjects.ts';
import { SIDECAR_RULES, type SidecarIdentity } from '../../../common/bus/permissions.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';
import {
  BODIES_STREAM,
  consumerConfig,
  JOBS_STREAM,
  RESULTS_STREAM,
  streamConfigs,
} from '../../../common/queue/jetstream/streams.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import type { TestNats } from '../../helpers/nats.ts';
import { startTestBus, type TestBus } from './bus.ts';
import { openClient, pullOne, type TestClient } from './clients.ts';

const OWN: SidecarIdentity = { namespace: 'shop', function: 'cart', pod: 'cart-1' };
const OWN_ID = { namespace: 'shop', name: 'cart' };
/** A private function, of which the attacker wants everything. */
const VICTIM: SidecarIdentity = { namespace: 'shop', function: 'pay', pod: 'pay-1' };
const VICTIM_ID = { namespace: 'shop', name: 'pay' };

describe('with the token of one function', () => {
  const releases: (() => unknown)[] = [];
  const atEnd = (release: () => unknown): void => void releases.unshift(release);
  let bus: TestBus;
  let nats: TestNats;
  let attacker: TestClient;
  let victim: TestClient;
  let scaler: TestClient;
  let proxy: TestClient;

  before(async () => {
    bus = await startTestBus(atEnd);
    nats = await bus.startNats();
    const open = (client: Parameters<typeof openClient>[1]) => openClient({ bus, nats, atEnd }, client);
    scaler = await open({ role: 'scaler', pod: 'scaler-1' });
    proxy = await open({ role: 'proxy', pod: 'proxy-1' });
    attacker = await open({ role: 'sidecar', ...OWN });
    victim = await open({ role: 'sidecar', ...VICTIM });
    const jsm = await scaler.connection.jetstreamManager();
    for (const config of streamConfigs(jobSettings)) await jsm.streams.add(config);
    for (const id of [OWN_ID, VICTIM_ID])
      await jsm.consumers.add(JOBS_STREAM, consumerConfig(id, jobSettings, false));
    await proxy.connection.request(functionSubject('job', VICTIM_ID), 'a secret job');
    await victim.connection.request(resultSubject(VICTIM_ID, 1), 'a secret result');
    await victim.connection.request(functionSubject('dead', VICTIM_ID), 'a secret dead letter');
  });
  after(async () => {
    for (const release of releases) await release();
  });

  /** What each stream holds, and the victim's record. */
  async function contents(): Promise<unknown> {
    const jsm = await scaler.connection.jetstreamManager();
    const counts: Record<string, number> = {};
    for await (const { config, state } of jsm.streams.list()) counts[config.name] = state.messages;
    const record = await jsm.streams.getMessage(RESULTS_STREAM, {
      last_by_subj: resultSubject(VICTIM_ID, 1),
    });
    return { counts, record: record.string() };
  }

  /** @returns what came to the attacker's own inbox */
  async function answersTo(subject: string, body = ''): Promise<string[]> {
    const heard: string[] = [];
    const reply = `_INBOX_sidecar.shop.cart.cart-1.attack`;
    const sub = attacker.connection.subscribe(reply, {
      callback: (_, message) => heard.push(message.string()),
    });
    const refused = await attacker.refused((connection) => connection.publish(subject, body, { reply }));
    assert.deepEqual(refused, [`publish ${subject}`]);
    sub.unsubscribe();
    return heard;
  }

  const jobs = functionSubject('job', VICTIM_ID);
  for (const [what, subject, body] of [
    ['pull a job of another', `$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.${consumerName(VICTIM_ID)}`, '1'],
    ['read a job of another', `$JS.API.DIRECT.GET.${JOBS_STREAM}.${jobs}`, ''],
    ['read it of the leader', `$JS.API.STREAM.MSG.GET.${JOBS_STREAM}`, '{"seq":1}'],
    ['read its result', `$JS.API.DIRECT.GET.${RESULTS_STREAM}.${resultSubject(VICTIM_ID, 1)}`, ''],
    ['read its dead letters', `$JS.API.DIRECT.GET.SLIMFAAS_DEAD.${functionSubject('dead', VICTIM_ID)}`, ''],
    ['read any by number', `$JS.API.DIRECT.GET.SLIMFAAS_DEAD`, '{"seq":1}'],
    ['make a consumer', `$JS.API.CONSUMER.CREATE.${JOBS_STREAM}.x.${jobs}`, '{}'],
    ['purge a stream', `$JS.API.STREAM.PURGE.${RESULTS_STREAM}`, ''],
    ['delete a stream', `$JS.API.STREAM.DELETE.${RESULTS_STREAM}`, ''],
    ['run a private function by a job', jobs, '{"path":"/"}'],
    ['overwrite its result', resultSubject(VICTIM_ID, 1), 'forged'],
    ['be ready as another', podSubject('ready', VICTIM_ID, VICTIM.pod), '{}'],
    ['drain another', podSubject('ready', VICTIM_ID, VICTIM.pod), '{"state":"draining"}'],
    ['speak of another’s work', podSubject('activity', VICTIM_ID, VICTIM.pod), '{}'],
    ['speak as older sidecars do', functionSubject('ready', VICTIM_ID), '{}'],
    ['wake another', functionSubject('wake', VICTIM_ID), '{}'],
  ] as const)
    it(`nobody can ${what}`, async () => {
      const before = await contents();
      assert.deepEqual(await answersTo(subject, body), []);
      assert.deepEqual(await contents(), before);
    });

  it('nobody hears what is not theirs', async () => {
    const subjects = [
      '>',
      'slimfaas.>',
      jobs,
      '_INBOX.>',
      '_INBOX_sidecar.>',
      '_INBOX_proxy.>',
      '$JS.>',
      '$SYS.>',
    ];
    const refused = await attacker.refused((connection) => {
      for (const subject of subjects) connection.subscribe(subject, { callback: () => undefined });
    });
    assert.deepEqual(
      refused,
      subjects.map((subject) => `subscribe ${subject}`),
    );
  });

  for (const [whose, body] of [
    ['an event', 'shop._'],
    ['another', 'shop.pay'],
    ['its own', 'shop.cart'],
  ] as const)
    for (const name of ['*.1', '*.*', '*.>', '>.1', 'secret.1'])
      it(`a large body of ${whose} is ${whose === 'its own' ? '' : 'not '}read as ${name}`, async () => {
        await proxy.connection.request(`slimfaas.body.${body}.secret.1`, 'a secret body');
        const subject = `$JS.API.DIRECT.GET.${BODIES_STREAM}.slimfaas.body.${body}.${name}`;
        if (whose !== 'its own') return assert.deepEqual(await answersTo(subject), []);
        assert.equal((await attacker.connection.request(subject)).string(), 'a secret body');
      });

  it('no `*` that reads stands above the function’s own name: JetStream takes it as a wildcard', () => {
    for (const { way, subject } of SIDECAR_RULES)
      if (way === 'publish' && subject.startsWith('$JS.API.DIRECT.GET.'))
        assert.match(subject.split('*', 1)[0] ?? '', /<namespace>\.<function>/, subject);
  });

  const targets = [
    `$JS.API.STREAM.PURGE.${RESULTS_STREAM}`,
    `$JS.API.STREAM.DELETE.${RESULTS_STREAM}`,
    `$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.${consumerName(VICTIM_ID)}`,
    resultSubject(VICTIM_ID, 1),
    functionSubject('dead', VICTIM_ID),
    jobs,
    podSubject('ready', VICTIM_ID, VICTIM.pod),
  ];

  /** What proxies and scalers hear of the victim meanwhile. */
  async function heardOfVictim(act: () => Promise<unknown>): Promise<string[]> {
    const heard: string[] = [];
    const release = proxy.link.subscribe('slimfaas.ready.>', (subject) => heard.push(subject));
    await proxy.connection.flush();
    await act();
    await proxy.connection.flush();
    release();
    return heard.filter((subject) => subject.includes('.pay'));
  }

  for (const target of targets) {
    it(`nobody gets to ${target} by a reply subject`, async () => {
      const own = `$JS.API.DIRECT.GET.${RESULTS_STREAM}.${resultSubject(OWN_ID, 5)}`;
      const empty = `$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.${consumerName(OWN_ID)}`;
      await attacker.connection.request(resultSubject(OWN_ID, 5), '{}');
      const before = await contents();
      const heard = await heardOfVictim(async () => {
        attacker.connection.publish(own, '', { reply: target });
        attacker.connection.publish(empty, JSON.stringify({ batch: 1, no_wait: true }), { reply: target });
        await attacker.connection.request(own);
      });
      assert.deepEqual(heard, []);
      assert.deepEqual(await contents(), before);
    });

    it(`nobody gets to ${target} by a question to itself`, async () => {
      const before = await contents();
      const question = `slimfaas.job-question.shop.cart`;
      const stolen: string[] = [];
      const asked = Promise.withResolvers<void>();
      const reply = '_INBOX_sidecar.shop.cart.cart-1.stolen';
      const inbox = attacker.connection.subscribe(reply, {
        callback: (_, { data }) => stolen.push(String(data)),
      });
      const sub = attacker.connection.subscribe(question, {
        callback(_, message) {
          message.respond('1', { reply });
          asked.resolve();
        },
      });
      const heard = await heardOfVictim(async () => {
        attacker.connection.publish(question, '', { reply: target });
        await asked.promise;
        await attacker.refused(() => undefined);
      });
      sub.unsubscribe();
      inbox.unsubscribe();
      assert.deepEqual([heard, stolen], [[], []]);
      assert.deepEqual(await contents(), before);
    });
  }

  it('nobody rolls a stream up', async () => {
    const before = await contents();
    const rollUp = headers();
    rollUp.set('Nats-Rollup', 'all');
    const answer = await attacker.connection.request(resultSubject(OWN_ID, 5), '', {
      headers: rollUp,
      timeout: 5_000,
    });
    assert.match(answer.string(), /rollup not permitted/);
    assert.deepEqual(await contents(), before);
  });

  it('how much of its own waits is told once, and by the core', async () => {
    const answers: { readonly error?: unknown; readonly name?: string }[] = [];
    const reply = '_INBOX_sidecar.shop.cart.cart-1.info';
    const sub = attacker.connection.subscribe(reply, {
      callback: (_, message) => answers.push(message.json()),
    });
    const info = `$JS.API.CONSUMER.INFO.${JOBS_STREAM}.${consumerName(OWN_ID)}`;
    attacker.connection.publish(info, '', { reply });
    // Each is answered in turn: what came for the first has come by then.
    for (let i = 0; i < 3; i++) await attacker.connection.request(info);
    sub.unsubscribe();
    assert.deepEqual(
      answers.map(({ error, name }) => [error, name]),
      [[undefined, consumerName(OWN_ID)]],
    );
  });

  it('its own work goes on', async () => {
    await proxy.connection.request(functionSubject('job', OWN_ID), 'a job');
    assert.equal(await pullOne(attacker.connection, OWN_ID), 'a job');
  });
});
