/**
 * Two adjacent versions work together: while an upgrade runs, and for as long as functions keep their sidecars.
 * 0.1.0.json was written by the code of version 0.1.0: what it says, and by which names. Here it is read by the code
 * of today; and what today's code says is held against what 0.1.0 asks for. A recording, because a clone need have
 * neither tags nor a registry. A change that fails here needs an optional field, or both ways for one version.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readFlags, envName, type FlagTable } from '../../common/runtime/flags.ts';
import { decodeJob, elementId, encodeJob, parseElementId } from '../../common/queue/job.ts';
import {
  decodeActivity,
  decodeReady,
  decodeShare,
  decodeWake,
  encodeMessage,
} from '../../common/bus/messages.ts';
import * as names from '../../common/function/names.ts';
import * as subjects from '../../common/bus/subjects.ts';
import * as consumers from '../../common/queue/jetstream/names.ts';
import { sidecarFlags } from '../../common/function/sidecar-flags.ts';
import { fixture, review } from '../webhook/reviews.ts';

interface Recording {
  readonly messages: Readonly<
    Record<'wake' | 'activity' | 'activityOfProxy' | 'ready' | 'draining' | 'share', string>
  >;
  readonly subjects: Readonly<Record<string, string>>;
  readonly consumers: Readonly<Record<'job' | 'event', string>>;
  readonly elementId: string;
  readonly job: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly names: Readonly<Record<string, string | number>>;
  readonly sidecar: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> };
  readonly sidecarFlags: readonly string[];
}

const old = JSON.parse(readFileSync(new URL('0.1.0.json', import.meta.url), 'utf8')) as Recording;
const ID = { namespace: 'shop', name: 'cart.v2' };
const bytes = (text: string) => new TextEncoder().encode(text);

describe('what 0.1.0 says is understood today', () => {
  it('each message, with the meaning that it had', () => {
    assert.deepEqual(decodeWake(bytes(old.messages.wake)), { from: 'proxy-1', waiting: 3 });
    assert.deepEqual(decodeActivity(bytes(old.messages.activity)), JSON.parse(old.messages.activity));
    assert.deepEqual(
      decodeActivity(bytes(old.messages.activityOfProxy)),
      JSON.parse(old.messages.activityOfProxy),
    );
    assert.deepEqual(decodeReady(bytes(old.messages.ready)), JSON.parse(old.messages.ready));
    assert.deepEqual(decodeReady(bytes(old.messages.draining)), JSON.parse(old.messages.draining));
    assert.deepEqual(decodeShare(bytes(old.messages.share)), JSON.parse(old.messages.share));
  });

  it('a job that it stored, and the id that it gave', () => {
    const { head, body } = decodeJob(Buffer.from(old.job, 'base64'));
    assert.equal(`${head.method} ${head.path}`, 'POST /orders?x=1');
    assert.deepEqual(head.headers, ['Content-Type', 'text/plain', 'X-Two', 'a', 'X-Two', 'b']);
    assert.deepEqual([head.callbackUrl, head.event, body.toString()], ['http://caller/', 'sold', 'body']);
    assert.deepEqual(parseElementId(old.elementId), { secret: old.elementId.slice(0, 32), sequence: 255 });
  });

  it('a sidecar of today starts with what a webhook of 0.1.0 gives it', () => {
    const { args, env } = old.sidecar;
    const config = readFlags(sidecarFlags, args.slice(1), env);
    assert.deepEqual(
      [config.function, config['app-port'], config['parallel-per-pod'], config['parallel-limit']],
      ['cart.v2', 9090, 2, 10],
    );
  });
});

/** What 0.1.0 throws a message away without; what it does not know it ignores. */
const NEEDED = {
  wake: { from: 'string', waiting: 'number' },
  activity: {
    source: 'string',
    pod: 'string',
    running: 'number',
    runningNow: 'number',
    waiting: 'number',
    started: 'number',
    finished: 'number',
    failed: 'number',
    windowMs: 'number',
  },
  ready: { pod: 'string', ip: 'string', port: 'number', state: 'string' },
  share: { limit: 'number', shares: 'object' },
} as const;

describe('what is said today is understood by 0.1.0', () => {
  const said = {
    wake: encodeMessage({ from: 'proxy-1', waiting: 0 }),
    activity: encodeMessage(decodeActivity(bytes(old.messages.activity))),
    ready: encodeMessage({ pod: 'a', ip: '10.0.0.1', port: 15080, state: 'ready', start: 1, seq: 2 }),
    share: encodeMessage({ limit: 1, shares: { a: 1 } }),
  };
  for (const [kind, fields] of Object.entries(NEEDED))
    it(`${kind}: it has each field that 0.1.0 asks for`, () => {
      const message = JSON.parse(Buffer.from(said[kind as keyof typeof said]).toString()) as object;
      for (const [field, type] of Object.entries(fields))
        assert.equal(typeof (message as Record<string, unknown>)[field], type, field);
    });

  it('a job is stored byte for byte as it was', () => {
    const stored = Buffer.from(old.job, 'base64');
    const { head, body } = decodeJob(stored);
    assert.deepEqual(encodeJob(head, body), stored);
    assert.equal(elementId(old.elementId.slice(0, 32), 255), old.elementId);
  });

  it('what the webhook gives a sidecar is no argument that 0.1.0 refuses; variables it does not know it ignores', () => {
    const { after } = review(fixture('deployment'));
    const all = [...(after.spec?.initContainers ?? []), ...(after.spec?.containers ?? [])];
    const sidecar = all.find(({ name }) => name === names.SIDECAR_CONTAINER);
    const known = Object.fromEntries(
      Object.entries(sidecarFlags as FlagTable).filter(([name]) => old.sidecarFlags.includes(name)),
    );
    assert.deepEqual(Object.keys(known).length, old.sidecarFlags.length, 'no flag of 0.1.0 is gone');
    readFlags(known, (sidecar?.args ?? []).slice(1), {});
    const given = new Set((sidecar?.env ?? []).map(({ name }) => name));
    for (const name of [
      'function',
      'namespace',
      'pod-name',
      'pod-ip',
      'nats',
      'port',
      'admin-port',
      'app-port',
    ])
      assert.ok(given.has(envName(name)), `${name} is still given`);
  });
});

describe('names that both must agree on', () => {
  it('subjects and consumers', () => {
    const kinds = ['wake', 'activity', 'ready', 'share', 'job', 'dead', 'callback'] as const;
    for (const kind of kinds) assert.equal(subjects.functionSubject(kind, ID), old.subjects[kind]);
    assert.equal(subjects.eventSubject(ID, 'sold'), old.subjects['event']);
    assert.equal(subjects.resultSubject(ID, 7), old.subjects['result']);
    assert.equal(subjects.jobQuestionSubject(ID), old.subjects['question']);
    assert.equal(consumers.consumerName(ID), old.consumers.job);
    assert.equal(consumers.eventConsumerName('shop', 'cart-1'), old.consumers.event);
  });

  it('headers between the hops, labels, annotations, ports', () => {
    for (const [key, header] of Object.entries(old.headers))
      assert.equal((names.HEADER as Readonly<Record<string, string>>)[key], header);
    assert.deepEqual(
      {
        label: names.FUNCTION_LABEL,
        status: names.INJECT_STATUS_ANNOTATION,
        container: names.SIDECAR_CONTAINER,
        data: names.SIDECAR_DATA_PORT,
        admin: names.SIDECAR_ADMIN_PORT,
        proxy: names.PROXY_PORT,
      },
      old.names,
    );
  });
});
