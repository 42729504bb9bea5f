/** Names of sources: a zone that nobody answers for is in the way of its own tenant alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as macrotask } from 'node:timers/promises';
import { Reach } from '../../../scaler/sources/reach.ts';
import { SourceNames } from '../../../scaler/sources/source-names.ts';

function slowNames() {
  const clock = { ms: 0 };
  const open = new Map<string, PromiseWithResolvers<string[]>>();
  const asked: string[] = [];
  const names = new SourceNames(
    (host) => {
      const answer = Promise.withResolvers<string[]>();
      asked.push(host);
      open.set(host, answer);
      return answer.promise;
    },
    () => clock.ms,
  );
  const ask = (namespace: string, host: string, signal = new AbortController().signal) =>
    names.resolve(host, { namespace, signal });
  const answer = async (host: string) => {
    await macrotask();
    open.get(host)?.resolve(['10.0.0.1']);
    await macrotask();
  };
  return { names, clock, asked, ask, answer };
}

test('one lookup of a namespace at a time: a second slot is left for others', async () => {
  const { names, asked, ask, answer } = slowNames();
  const all = ['a', 'b', 'c'].map((host) => ask('slow', host));
  const calm = ask('calm', 'd');
  await macrotask();
  assert.deepEqual([asked, names.inLine], [['a', 'd'], 2]);
  await answer('d');
  assert.deepEqual(await calm, ['10.0.0.1']);
  for (const host of ['a', 'b', 'c']) await answer(host);
  await Promise.all(all);
  assert.deepEqual(asked, ['a', 'd', 'b', 'c']);
});

test('whose poll is over leaves the line, and nobody looks its name up', async () => {
  const { names, asked, ask, answer } = slowNames();
  const over = new AbortController();
  const first = ask('slow', 'a');
  const late = ask('slow', 'b', over.signal);
  over.abort(new Error('over'));
  await assert.rejects(late, /over/);
  assert.equal(names.inLine, 0);
  await answer('a');
  await first;
  assert.deepEqual(asked, ['a']);
});

test('after a slow lookup a namespace pauses, so two such namespaces do not hold both slots', async () => {
  const { clock, asked, ask, answer } = slowNames();
  const over = new AbortController();
  const slow = ['x', 'y'].map((namespace) => ask(namespace, `${namespace}1`));
  const again = ['x', 'y'].map((namespace) => ask(namespace, `${namespace}2`, over.signal));
  const calm = ask('calm', 'c');
  await macrotask();
  clock.ms = 10_000;
  await answer('x1');
  await answer('y1');
  await answer('c');
  await Promise.all([...slow, calm]);
  assert.deepEqual(asked, ['x1', 'y1', 'c'], 'the others pause');
  over.abort(new Error('over'));
  for (const one of again) await assert.rejects(one, /over/);
  clock.ms += 40_000;
  const last = ask('x', 'x3');
  await answer('x3');
  await last;
});

test('each lookup is its namespace’s, and ends with its poll', async () => {
  const seen: string[] = [];
  const reach = new Reach({
    allow: [],
    resolve: async (_host, { namespace, signal }) => {
      seen.push(`${namespace} ${signal.aborted}`);
      return ['10.96.0.10'];
    },
  });
  await reach.address('shop', 'http://jobs.shop.svc/', new AbortController().signal);
  assert.deepEqual(seen, ['shop false']);
  reach.close();
});
