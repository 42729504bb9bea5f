/** What a sidecar asks of the scalers, and what they make of anything else that comes on that subject. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  askScalers,
  decodeAsk,
  decodeAskAnswer,
  encodeAsk,
  encodeAskAnswer,
  type Ask,
} from '../../../common/bus/asks.ts';
import { parseAskSubject, podSubject } from '../../../common/bus/subjects.ts';
import { MessageError } from '../../../common/runtime/errors.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('asks of sidecars', () => {
  it('come as they were said; the subject names the pod', () => {
    const asks: Ask[] = [
      { ask: 'pod-ready' },
      { ask: 'read-events', sinceMs: 1_790_000_000_000 },
      { ask: 'hand-over-events', sinceMs: 0 },
    ];
    for (const ask of asks) assert.deepEqual(decodeAsk(encodeAsk(ask)), ask);
    const asker = { id: { namespace: 'shop', name: 'cart.v2' }, pod: 'cart.v2-0' };
    const subject = podSubject('ask', asker.id, asker.pod);
    assert.equal(subject, 'slimfaas.ask.shop.cart%2Ev2.cart%2Ev2-0');
    assert.deepEqual(parseAskSubject(subject), asker);
    for (const other of [
      'slimfaas.ask.a.b',
      'slimfaas.ask.a.b.c.d',
      'slimfaas.ready.a.b.c',
      'slimfaas.ask.a..c',
    ])
      assert.equal(parseAskSubject(other), undefined, other);
  });

  it('that cannot be read are MessageErrors that say why', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['{', /not JSON/],
      ['null', /not a JSON object/],
      ['7', /not a JSON object/],
      ['{}', /allowed: pod-ready, read-events, hand-over-events/],
      ['{"ask":"delete-everything"}', /ask is "delete-everything"/],
      ['{"ask":"read-events"}', /sinceMs is no whole number/],
      ['{"ask":"read-events","sinceMs":-1}', /sinceMs/],
      ['{"ask":"hand-over-events","sinceMs":1.5}', /sinceMs/],
      ['{"ask":"hand-over-events","sinceMs":8640000000000001}', /sinceMs/],
      [JSON.stringify({ ask: 'pod-ready', more: 'x'.repeat(1_024) }), /at most 1024 are read/],
    ];
    for (const [text, why] of cases)
      assert.throws(
        () => decodeAsk(bytes(text)),
        (error) => error instanceof MessageError && why.test(error.message),
        text,
      );
  });

  it('have an answer, or none', async () => {
    const asker = { id: { namespace: 'ns', name: 'fn' }, pod: 'fn-1' };
    const nats = (answer: Uint8Array | undefined) => ({ request: async () => answer });
    const ask = (answer: Uint8Array | undefined) => askScalers(nats(answer), asker, { ask: 'pod-ready' }, 1);
    assert.equal(await ask(undefined), undefined);
    for (const answer of [{ isGranted: true }, { isGranted: false, why: 'full' }] as const)
      assert.deepEqual(await ask(encodeAskAnswer(answer)), answer);
    for (const bad of ['{}', '{"isGranted":false}', 'yes'])
      await assert.rejects(ask(bytes(bad)), MessageError);
    assert.throws(() => decodeAskAnswer(bytes('[]')), MessageError);
  });
});
