import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { ScaleTrigger } from '../../../common/function/spec.ts';
import {
  builtInValue,
  effectiveScale,
  recommend,
  replicasFor,
  type TriggerReading,
} from '../../../scaler/sizing/triggers.ts';

function reading(
  metricType: ScaleTrigger['metricType'],
  threshold: number,
  value: number | undefined,
): TriggerReading {
  return { trigger: { metricType, metricName: 'x', query: 'x', threshold, activationThreshold: 0 }, value };
}

/** type, threshold, value, replicas now, replicas wanted, why. */
const ARITHMETIC: readonly [
  ScaleTrigger['metricType'],
  number,
  number | undefined,
  number,
  number | undefined,
  string,
][] = [
  ['AverageValue', 10, 0, 3, 0, 'nothing to do'],
  ['AverageValue', 10, 1, 3, 1, 'a little is one pod'],
  ['AverageValue', 10, 10, 3, 1, 'exactly one pod’s worth'],
  ['AverageValue', 10, 10.5, 1, 2, 'no tolerance: ceil(1.05)'],
  ['AverageValue', 10, 95, 3, 10, 'ceil(9.5), whatever the current count'],
  ['AverageValue', 0.7, 21, 1, 30, 'not 31: 21 / 0.7 is 30.000000000000004 in floating point'],
  ['AverageValue', 7, 21.000001, 3, 4, 'a real excess counts'],
  ['Value', 100, 200, 4, 8, 'twice the target'],
  ['Value', 100, 50, 4, 2, 'half the target'],
  ['Value', 100, 109, 4, 4, 'within 10 %: unchanged'],
  ['Value', 100, 110, 4, 4, 'exactly 10 %: unchanged'],
  ['Value', 100, 111, 4, 5, 'ceil(4.44)'],
  ['Value', 100, 91, 4, 4, 'within 10 % below'],
  ['Value', 100, 89, 4, 4, 'ceil(3.56)'],
  ['Value', 100, 200, 0, 0, 'of nothing nothing: waking is not a trigger’s business'],
  ['AverageValue', 10, undefined, 3, undefined, 'no data'],
  ['AverageValue', 10, Number.NaN, 3, undefined, 'not a number'],
  ['AverageValue', 10, Infinity, 3, undefined, 'infinite'],
  ['Value', 10, -1, 3, undefined, 'negative'],
];

for (const [type, threshold, value, current, wanted, why] of ARITHMETIC) {
  test(`${type} ${threshold}, value ${value}, ${current} pods: ${wanted} (${why})`, () => {
    assert.equal(replicasFor(reading(type, threshold, value), current), wanted);
  });
}

test('the largest trigger wins', () => {
  const result = recommend(
    [reading('AverageValue', 10, 25), reading('Value', 100, 400), reading('AverageValue', 1, 2)],
    2,
  );
  assert.equal(result.replicas, 8);
  assert.equal(result.lead?.value, 400);
  assert.equal(result.isPartial, false);
});

test('behaviour 36: a trigger without data keeps the others from going down, not from going up', () => {
  const missing = reading('AverageValue', 10, undefined);
  assert.equal(recommend([missing, reading('AverageValue', 10, 10)], 5).replicas, 5);
  assert.equal(recommend([missing, reading('AverageValue', 10, 70)], 5).replicas, 7);
});

test('behaviour 36: no valid data at all is no recommendation', () => {
  const result = recommend([reading('AverageValue', 10, undefined), reading('Value', 10, Number.NaN)], 5);
  assert.equal(result.replicas, undefined);
  assert.equal(result.isPartial, true);
  assert.equal(recommend([], 5).replicas, undefined);
});

test('behaviour 36: with data missing, whatever it is, the recommendation is never below what runs', () => {
  const anyValue = fc.option(fc.double(), { nil: undefined });
  const anyReading = fc
    .tuple(
      fc.constantFrom('AverageValue', 'Value'),
      fc.double({ min: 0.001, max: 1e6, noNaN: true }),
      anyValue,
    )
    .map(([type, threshold, value]) => reading(type as ScaleTrigger['metricType'], threshold, value));
  fc.assert(
    fc.property(fc.array(anyReading, { maxLength: 4 }), fc.nat(1_000), (readings, current) => {
      const { replicas, isPartial, verdicts } = recommend(
        [...readings, reading('Value', 1, undefined)],
        current,
      );
      assert.equal(isPartial, true);
      assert.equal(verdicts.length, readings.length + 1);
      if (replicas !== undefined) assert.ok(Number.isSafeInteger(replicas) && replicas >= current);
    }),
  );
});

test('built-in metrics come from the load; a missing one is no data, not nothing', () => {
  const load = { concurrency: 12, rps: 30, queue: 5, messageRate: 2 };
  assert.equal(builtInValue('concurrency', load), 12);
  assert.equal(builtInValue('rps', load), 30);
  assert.equal(builtInValue('queue', load), 5);
  assert.equal(builtInValue('message-rate', load), 2);
  assert.equal(builtInValue('concurrency+queue', load), 17);
  assert.equal(builtInValue('concurrency+queue', { ...load, queue: undefined }), undefined);
  assert.equal(builtInValue('latency', load), undefined);
});

function effective(annotations: Record<string, string>) {
  return effectiveScale(parseAnnotations(annotations).spec);
}

test('without Scale, NumberParallelRequest scales on concurrency and queue at 70 % of a pod, up to the pods it can fill', () => {
  const scale = effective({
    'SlimFaas/NumberParallelRequest': '40',
    'SlimFaas/NumberParallelRequestPerPod': '10',
  });
  assert.equal(scale.origin, 'parallel-limit');
  assert.equal(scale.replicaMax, 4);
  assert.equal(scale.triggers.length, 1);
  assert.equal(scale.triggers[0]?.metricName, 'concurrency+queue');
  assert.equal(scale.triggers[0]?.threshold, 7);
  // 15 running and waiting at 7 a pod are 3 pods.
  const readings = scale.triggers.map((trigger) => ({ trigger, value: 15 }));
  assert.equal(recommend(readings, 1).replicas, 3);
});

test('the pods that NumberParallelRequest can fill are rounded up and not below ReplicasMin', () => {
  assert.equal(effective({ 'SlimFaas/NumberParallelRequest': '11' }).replicaMax, 2);
  assert.equal(
    effective({ 'SlimFaas/NumberParallelRequest': '2', 'SlimFaas/ReplicasMin': '3' }).replicaMax,
    3,
  );
});

test('a function that sets neither Scale nor NumberParallelRequest is left alone', () => {
  for (const annotations of [{}, { 'SlimFaas/NumberParallelRequestPerPod': '2' }]) {
    const scale = effective(annotations as Record<string, string>);
    assert.equal(scale.origin, 'none');
    assert.deepEqual(scale.triggers, []);
    assert.equal(scale.replicaMax, undefined);
  }
});

test('Scale, where it is given, is the whole rule', () => {
  const scale = effective({ 'SlimFaas/NumberParallelRequest': '40', 'SlimFaas/Scale': '{"ReplicaMax": 9}' });
  assert.equal(scale.origin, 'annotation');
  assert.equal(scale.replicaMax, 9);
  assert.deepEqual(scale.triggers, []);
});

test('one caller of a function with one place a pod wants one pod', () => {
  const { triggers } = effectiveScale({
    scale: undefined,
    parallelLimit: 10,
    parallelPerPod: 1,
    replicasMin: 0,
  });
  assert.equal(triggers[0]?.threshold, 1);
});
