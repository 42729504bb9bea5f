/**
 * Each cell of docs/reference/bus.md on a real server: what a sidecar may say and hear works, the same of another
 * function or pod is refused, and no answer can be sent where its asker may not speak. `streams` are as the scaler
 * makes them.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect } from '../../../common/bus/nats-library.ts';
import type { NatsConnection } from '../../../common/bus/nats.ts';
import {
  ACCOUNTS,
  covers,
  inboxPrefix,
  rolePermissions,
  sidecarPermissions,
  SIDECAR_RULES,
  type SidecarIdentity,
} from '../../../common/bus/permissions.ts';
import { AckPolicy } from '../../../common/bus/nats-library.ts';
import {
  consumerConfig,
  EVENTS_STREAM,
  JOBS_STREAM,
  RESULTS_STREAM,
  streamConfigs,
} from '../../../common/queue/jetstream/streams.ts';
import { consumerName, eventConsumerName } from '../../../common/queue/jetstream/names.ts';
import { everyEventOf } from '../../../common/bus/subjects.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { accountsConfig } from '../../helpers/nats-accounts.ts';
import { waitFor } from '../../helpers/wait.ts';

const OWN: SidecarIdentity = { namespace: 'shop', function: 'cart.v2', pod: 'cart-1' };
const SIBLING: SidecarIdentity = { ...OWN, pod: 'cart-2' };
const OTHER: SidecarIdentity = { namespace: 'shop', function: 'pay', pod: 'pay-1' };
const OWN_ID = { namespace: OWN.namespace, name: OWN.function };
const OTHER_ID = { namespace: OTHER.namespace, name: OTHER.function };
/** No `*` is left in what is published: a token that stands for it. */
const literal = (subject: string): string => subject.replaceAll('*', '7').replaceAll('>', '1.7.7.0.0');

let server: TestNats;
let admin: NatsConnection;
let sidecar: NatsConnection;
let violations: string[] = [];

before(async () => {
  server = await startNats({
    config: accountsConfig([
      { account: 'core', user: 'admin', permissions: undefined },
      { account: 'core', user: 'proxy', permissions: rolePermissions('proxy') },
      { account: 'core', user: 'scaler', permissions: rolePermissions('scaler') },
      { account: 'functions', user: 'own', permissions: sidecarPermissions(OWN) },
    ]),
  });
  admin = await connect({ servers: server.url, user: 'admin', pass: 'secret' });
  const jsm = await admin.jetstreamManager();
  for (const config of streamConfigs(jobSettings)) await jsm.streams.add(config);
  for (const id of [OWN_ID, OTHER_ID])
    await jsm.consumers.add(JOBS_STREAM, consumerConfig(id, jobSettings, false));
  for (const { namespace, function: name, pod } of [OWN, OTHER])
    await jsm.consumers.add(EVENTS_STREAM, {
      durable_name: eventConsumerName(namespace, pod),
      filter_subject: everyEventOf({ namespace, name }),
      ack_policy: AckPolicy.Explicit,
    });
  sidecar = await connect({
    servers: server.url,
    user: 'own',
    pass: 'secret',
    inboxPrefix: inboxPrefix({ role: 'sidecar', ...OWN }),
  });
  void follow(sidecar);
});

after(async () => {
  await sidecar.close();
  await admin.close();
  await server.stop();
});

async function follow(connection: NatsConnection): Promise<void> {
  for await (const status of connection.status())
    if (status.permissionContext) violations.push(status.permissionContext.subject);
}

/** What the server refused of what `act` did; it answers in order, so a round trip is enough. */
async function refusedIn(connection: NatsConnection, act: () => void): Promise<string[]> {
  violations = [];
  act();
  await connection.flush();
  await connection.flush();
  return [...violations];
}

const saidBy = (who: SidecarIdentity): string[] => sidecarPermissions(who).publish.allow.map(literal);

describe('a sidecar', () => {
  test('may say all that its table says', async () => {
    for (const subject of saidBy(OWN)) {
      const refused = await refusedIn(sidecar, () => sidecar.publish(subject));
      assert.deepEqual(refused, [], subject);
    }
  });

  for (const [whose, identity] of [
    ['another function', OTHER],
    ['another pod of its function', SIBLING],
  ] as const) {
    test(`may say nothing of ${whose}`, async () => {
      const own = new Set(saidBy(OWN));
      const foreign = saidBy(identity).filter((subject) => !own.has(subject));
      assert.ok(foreign.length >= (identity === OTHER ? 15 : 6), String(foreign.length));
      for (const subject of foreign) {
        const refused = await refusedIn(sidecar, () => sidecar.publish(subject));
        assert.deepEqual(refused, [subject]);
      }
    });
  }

  test('may say nothing of the other roles, and of the rest of JetStream', async () => {
    const { publish } = rolePermissions('proxy');
    const forbidden = [
      ...publish.allow.map(literal).filter((subject) => !saidBy(OWN).includes(subject)),
      ...rolePermissions('scaler').publish.allow.map(literal),
      'slimfaas.ready.shop.cart%2Ev2',
      'slimfaas.activity.shop.cart%2Ev2',
      'slimfaas.job.shop.cart%2Ev2',
      'slimfaas.event.shop.paid.cart%2Ev2',
      `$JS.API.CONSUMER.CREATE.${EVENTS_STREAM}.x.${everyEventOf(OWN_ID)}`,
      `$JS.API.CONSUMER.DURABLE.CREATE.${JOBS_STREAM}.x`,
      `$JS.API.CONSUMER.DELETE.${JOBS_STREAM}.${consumerName(OWN_ID)}`,
      ...['INFO', 'PURGE', 'DELETE', 'UPDATE', 'CREATE', 'MSG.GET', 'MSG.DELETE', 'SNAPSHOT'].map(
        (verb) => `$JS.API.STREAM.${verb}.${RESULTS_STREAM}`,
      ),
      `$JS.API.DIRECT.GET.${JOBS_STREAM}`,
      `$JS.API.DIRECT.GET.${RESULTS_STREAM}`,
      '$JS.API.INFO',
      '$JS.API.STREAM.NAMES',
      '$SYS.REQ.SERVER.PING',
      '_INBOX_proxy.p.1',
      inboxPrefix({ role: 'sidecar', ...OTHER }),
    ];
    for (const subject of forbidden) {
      const refused = await refusedIn(sidecar, () => sidecar.publish(subject));
      assert.deepEqual(refused, [subject]);
    }
  });

  test('hears its own subjects, and is refused every other', async () => {
    const own = sidecarPermissions(OWN).subscribe.allow;
    for (const subject of own) {
      const refused = await refusedIn(sidecar, () => sidecar.subscribe(subject).unsubscribe());
      assert.deepEqual(refused, [], subject);
    }
    const foreign = [
      '>',
      'slimfaas.>',
      'slimfaas.share.*.*',
      'slimfaas.ready.*.*.*',
      'slimfaas.result.shop.cart%2Ev2.*',
      '_INBOX.>',
      '_INBOX_sidecar.>',
      '_INBOX_sidecar.shop.cart%2Ev2.*.>',
      '$JS.>',
      ...sidecarPermissions(OTHER).subscribe.allow,
    ];
    for (const subject of foreign) {
      const refused = await refusedIn(sidecar, () =>
        sidecar.subscribe(subject, { callback: () => undefined }),
      );
      assert.deepEqual(refused, [subject]);
    }
  });
});

describe('what passes between the accounts', () => {
  test('a sidecar’s word reaches the core, under its own subject', async () => {
    const heard = Promise.withResolvers<string>();
    const sub = admin.subscribe('slimfaas.ready.>', { callback: (_, { subject }) => heard.resolve(subject) });
    await admin.flush();
    sidecar.publish('slimfaas.ready.shop.cart%2Ev2.cart-1', '{}');
    assert.equal(await heard.promise, 'slimfaas.ready.shop.cart%2Ev2.cart-1');
    sub.unsubscribe();
  });

  test('jobs are pulled, acknowledged with confirmation and recorded', async () => {
    await admin.jetstream().publish('slimfaas.job.shop.cart%2Ev2', 'a job');
    const inbox = `${inboxPrefix({ role: 'sidecar', ...OWN })}.pull`;
    const delivered = Promise.withResolvers<{ data: Uint8Array; reply?: string }>();
    const sub = sidecar.subscribe(inbox, { callback: (_, message) => delivered.resolve(message) });
    sidecar.publish(`$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.${consumerName(OWN_ID)}`, '1', {
      reply: inbox,
    });
    const { data, reply = '' } = await delivered.promise;
    assert.equal(Buffer.from(data).toString(), 'a job');
    assert.equal((await sidecar.request(reply, '+ACK')).data.length, 0);
    const record = await sidecar.request('slimfaas.result.shop.cart%2Ev2.1', 'a record');
    assert.ok(record.json<{ seq: number }>().seq > 0);
    const read = `$JS.API.DIRECT.GET.${RESULTS_STREAM}.slimfaas.result.shop.cart%2Ev2.1`;
    assert.equal((await sidecar.request(read)).string(), 'a record');
    sub.unsubscribe();
  });

  test('an asker that is gone is given nothing', async () => {
    const consumer = consumerName(OWN_ID);
    const jsm = await admin.jetstreamManager();
    const info = () => jsm.consumers.info(JOBS_STREAM, consumer);
    const before = await info();
    const inbox = `${inboxPrefix({ role: 'sidecar', ...OWN })}.gone`;
    const sub = sidecar.subscribe(inbox, { callback: () => undefined });
    sidecar.publish(`$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.${consumer}`, '1', { reply: inbox });
    await waitFor(async () => (await info()).num_waiting === before.num_waiting + 1, { what: 'it waits' });
    sub.unsubscribe();
    await sidecar.flush();
    await admin.jetstream().publish('slimfaas.job.shop.cart%2Ev2', 'another job');
    const now = await info();
    assert.deepEqual(
      [now.delivered.consumer_seq, now.num_pending],
      [before.delivered.consumer_seq, before.num_pending + 1],
    );
    await jsm.streams.purge(JOBS_STREAM);
  });

  test('how much waits is told once, and by the core', async () => {
    const inbox = `${inboxPrefix({ role: 'sidecar', ...OWN })}.info`;
    const answers: { readonly type: string; readonly error?: { readonly code: number } }[] = [];
    const sub = sidecar.subscribe(inbox, { callback: (_, message) => answers.push(message.json()) });
    for (const consumer of [`${JOBS_STREAM}.${consumerName(OWN_ID)}`, `${EVENTS_STREAM}.shop__cart-1`])
      sidecar.publish(`$JS.API.CONSUMER.INFO.${consumer}`, '', { reply: inbox });
    // Each is answered in turn: what came for the two has come by then.
    for (let i = 0; i < 3; i++) await sidecar.request(`$JS.API.CONSUMER.INFO.${JOBS_STREAM}.shop__cart_2Ev2`);
    assert.deepEqual(
      answers.map(({ type, error }) => [type, error]),
      Array.from({ length: 2 }, () => ['io.nats.jetstream.api.v1.consumer_info_response', undefined]),
    );
    sub.unsubscribe();
  });

  test('the core asks a sidecar and hears its answer', async () => {
    const sub = sidecar.subscribe('slimfaas.job-question.shop.cart%2Ev2', {
      callback: (_, message) => void message.respond('held'),
    });
    await sidecar.flush();
    assert.equal((await admin.request('slimfaas.job-question.shop.cart%2Ev2')).string(), 'held');
    sub.unsubscribe();
  });

  test('no rule of an account names a function', () => {
    for (const { exports, imports } of Object.values(ACCOUNTS))
      for (const { subject } of [...exports, ...imports]) assert.doesNotMatch(subject, /[<]|shop|cart/);
    const passing = [...ACCOUNTS.core.exports, ...ACCOUNTS.core.imports].map(({ subject }) => subject);
    for (const { subject, crosses } of SIDECAR_RULES) {
      const shape = subject.replaceAll(/<\w+>/g, '*');
      const by = passing.filter((wide) => covers(wide, shape));
      assert.equal(by.length, crosses ? 1 : by.length, `${subject} passes by ${by.join(', ')}`);
    }
  });
});

describe('an answer goes no further than its asker', () => {
  const pull = `$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.${consumerName(OWN_ID)}`;
  const empty = { body: JSON.stringify({ batch: 1, no_wait: true }), subject: pull };
  const own = { body: '', subject: `$JS.API.DIRECT.GET.${RESULTS_STREAM}.slimfaas.result.shop.cart%2Ev2.5` };

  for (const [target, what] of [
    [`$JS.API.STREAM.PURGE.${RESULTS_STREAM}`, 'purges a stream'],
    [`$JS.API.STREAM.DELETE.${RESULTS_STREAM}`, 'deletes a stream'],
    ['slimfaas.result.shop.pay.9', 'overwrites a record of another function'],
    ['slimfaas.dead.shop.pay', 'forges a dead letter'],
    ['slimfaas.job.shop.pay', 'makes a job of another function'],
  ] as const)
    test(`none ${what}`, async () => {
      const js = admin.jetstream();
      await js.publish('slimfaas.result.shop.pay.9', 'true');
      await sidecar.request('slimfaas.result.shop.cart%2Ev2.5', '{}');
      const before = await contents();
      for (const { subject, body } of [empty, own]) sidecar.publish(subject, body, { reply: target });
      // Answered after them, by the same way.
      await sidecar.request(own.subject, own.body);
      await sidecar.flush();
      assert.deepEqual(await contents(), before);
    });

  test('none is another pod’s word', async () => {
    const heard: string[] = [];
    const sub = admin.subscribe('slimfaas.ready.>', { callback: (_, { subject }) => heard.push(subject) });
    await admin.flush();
    sidecar.publish(own.subject, own.body, { reply: 'slimfaas.ready.shop.pay.pay-1' });
    await sidecar.request(own.subject, own.body);
    sidecar.publish('slimfaas.ready.shop.cart%2Ev2.cart-1');
    await sidecar.request(own.subject, own.body);
    await admin.flush();
    assert.deepEqual(heard, ['slimfaas.ready.shop.cart%2Ev2.cart-1']);
    sub.unsubscribe();
  });
});

/** How much each stream holds, and the last record of another function. */
async function contents(): Promise<unknown> {
  const jsm = await admin.jetstreamManager();
  const counts: Record<string, number> = {};
  for await (const { config, state } of jsm.streams.list()) counts[config.name] = state.messages;
  const record = await jsm.streams.getMessage(RESULTS_STREAM, { last_by_subj: 'slimfaas.result.shop.pay.9' });
  return { counts, record: record.string() };
}

describe('a role of ours', () => {
  for (const role of ['proxy', 'scaler'] as const)
    test(`the ${role} may say and hear what its table says, and not the rest`, async () => {
      const prefix = inboxPrefix({ role, pod: 'p' });
      const connection = await connect({
        servers: server.url,
        user: role,
        pass: 'secret',
        inboxPrefix: prefix,
      });
      void follow(connection);
      const { publish, subscribe } = rolePermissions(role);
      const refused = await refusedIn(connection, () => {
        for (const subject of publish.allow)
          if (!subject.startsWith('$JS.API.')) connection.publish(literal(subject));
        for (const subject of subscribe.allow) connection.subscribe(subject).unsubscribe();
      });
      assert.deepEqual(refused, []);
      const foreign = ['>', 'slimfaas.>', '_INBOX.>', '_INBOX_sidecar.>'];
      const heard = await refusedIn(connection, () => {
        for (const subject of foreign) connection.subscribe(subject, { callback: () => undefined });
      });
      assert.deepEqual(heard, foreign);
      await connection.close();
    });

  test('a proxy makes and removes no stream and no consumer', async () => {
    const connection = await connect({
      servers: server.url,
      user: 'proxy',
      pass: 'secret',
      inboxPrefix: '_INBOX_proxy.p',
    });
    void follow(connection);
    const forbidden = [
      `$JS.API.STREAM.DELETE.${JOBS_STREAM}`,
      `$JS.API.STREAM.PURGE.${JOBS_STREAM}`,
      `$JS.API.STREAM.UPDATE.${JOBS_STREAM}`,
      `$JS.API.CONSUMER.DELETE.${JOBS_STREAM}.x`,
      `$JS.API.CONSUMER.CREATE.${JOBS_STREAM}`,
      `$JS.API.CONSUMER.MSG.NEXT.${JOBS_STREAM}.x`,
      'slimfaas.share.shop.pay',
    ];
    assert.deepEqual(
      await refusedIn(connection, () => forbidden.forEach((subject) => connection.publish(subject))),
      forbidden,
    );
    await connection.close();
  });
});
