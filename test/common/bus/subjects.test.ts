/** Subjects: every name survives the round trip and stays one token. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  eventSubject,
  everyFunction,
  functionKey,
  everyPod,
  functionSubject,
  parseFunctionSubject,
  parseSpeaker,
  podSubject,
} from '../../../common/bus/subjects.ts';

test('a plain name gives the subject of the design', () => {
  assert.equal(functionSubject('wake', { namespace: 'shop', name: 'cart' }), 'slimfaas.wake.shop.cart');
  assert.equal(everyFunction('activity'), 'slimfaas.activity.*.*');
  assert.equal(
    eventSubject({ namespace: 'shop', name: 'cart' }, 'order.paid'),
    'slimfaas.event.shop.order%2Epaid.cart',
  );
  assert.equal(functionKey({ namespace: 'shop', name: 'cart' }), 'shop/cart');
});

test('a dot in a name is escaped, so that it cannot add a token', () => {
  const subject = functionSubject('job', { namespace: 'shop', name: 'cart.v2' });
  assert.equal(subject, 'slimfaas.job.shop.cart%2Ev2');
  assert.deepEqual(parseFunctionSubject(subject)?.id, { namespace: 'shop', name: 'cart.v2' });
});

test('any name survives the round trip and is one NATS token', () => {
  const name = fc.string({ minLength: 1 }).filter((s) => s.trim() !== '');
  fc.assert(
    fc.property(name, name, (namespace, fn) => {
      const subject = functionSubject('ready', { namespace, name: fn });
      assert.equal(subject.split('.').length, 4);
      assert.match(subject, /^[^\s*>]+$/);
      assert.deepEqual(parseFunctionSubject(subject), { kind: 'ready', id: { namespace, name: fn } });
    }),
  );
});

test('other subjects are not taken for a function', () => {
  for (const subject of [
    'slimfaas.wake.a',
    'slimfaas.event.a.b',
    'other.wake.a.b',
    'slimfaas.wake.a.b.c',
    '',
  ]) {
    assert.equal(parseFunctionSubject(subject), undefined, subject);
  }
});

test('a pod’s subject names it, whatever its letters; without a pod nobody is named', () => {
  const name = fc.string({ minLength: 1 }).filter((s) => s.trim() !== '');
  fc.assert(
    fc.property(name, name, name, (namespace, fn, pod) => {
      const id = { namespace, name: fn };
      const subject = podSubject('ready', id, pod);
      assert.equal(subject.split('.').length, 5);
      assert.deepEqual(parseSpeaker(subject), { id, pod });
      assert.deepEqual(parseSpeaker(functionSubject('activity', id)), { id, pod: undefined });
    }),
  );
  assert.equal(everyPod('activity'), 'slimfaas.activity.*.*.*');
  for (const other of [
    'slimfaas.wake.a.b.c',
    'slimfaas.ready.a.b.',
    'slimfaas.ready.a.b.c.d',
    'slimfaas.ready.a',
  ])
    assert.equal(parseSpeaker(other), undefined);
});
