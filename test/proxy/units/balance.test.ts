import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { choose } from '../../../proxy/pods/balance.ts';

const candidate = fc.record({
  free: fc.integer({ min: -2, max: 3 }),
  load: fc.double({ min: 0, max: 2, noNaN: true }),
});
const draws = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));

test('property: a full pod is never chosen, and a free one always found', () => {
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 30 }), draws, (pods, stream) => {
      const chosen = choose(pods, () => stream.next().value);
      assert.equal(
        chosen !== undefined,
        pods.some((pod) => pod.free > 0),
      );
      assert.ok(!chosen || chosen.free > 0);
    }),
  );
});

test('of two the less loaded is taken, and of two alike either', () => {
  const light = { free: 1, load: 0.1 };
  const heavy = { free: 5, load: 0.9 };
  assert.equal(
    choose([heavy, light], () => 0.99),
    light,
  );
  assert.equal(
    choose([light, { free: 0, load: 0 }], () => 0),
    light,
  );
  const twin = { ...light };
  assert.equal(
    choose([light, twin], () => 0.2),
    light,
  );
  assert.equal(
    choose([light, twin], () => 0.8),
    twin,
  );
});

test('two choices spread calls evenly: the fullest of 20 pods is near the mean', () => {
  const pods = Array.from({ length: 20 }, () => ({ free: 1_000, load: 0 }));
  let seed = 1;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  for (let i = 0; i < 2_000; i++) {
    const pod = choose(pods, random);
    if (pod) pod.load++;
  }
  const most = Math.max(...pods.map((pod) => pod.load));
  assert.ok(most <= 110, `${most} where the mean is 100; by one random choice it would be about 120`);
});

test('the last free pod of many is found', () => {
  const pods = Array.from({ length: 500 }, () => ({ free: 0, load: 1 }));
  const last = { free: 1, load: 1 };
  assert.equal(
    choose([...pods, last], () => 0),
    last,
  );
});
