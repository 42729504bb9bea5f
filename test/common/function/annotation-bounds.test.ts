/** What one workload may write: bounded in size, depth and number, and never a throw (see docs/bounds.md). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isTooDeep,
  MAX_FAULTS,
  MAX_ITEMS,
  MAX_JSON_DEPTH,
  MAX_PATH_RULES,
  MAX_VALUE_LENGTH,
} from '../../../common/function/annotations/bounds.ts';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

test('JSON nested by thousands is a fault of its annotation, whatever it says', () => {
  for (const depth of [MAX_JSON_DEPTH, 1_000, 5_000, 30_000]) {
    for (const [name, text] of [
      ['SlimFaas/Scale', `{"x":${nested(depth)}}`],
      ['SlimFaas/Configuration', `{"DefaultSync":${nested(depth)}}`],
      ['SlimFaas/Schedule', `{"Default":${nested(depth)}}`],
      ['slimfaas.dev/sidecar-resources', nested(depth)],
      ['SlimFaas/DependsOn', nested(depth)],
      ['SlimFaas/SubscribeEvents', nested(depth)],
    ] as const) {
      const { isFunction, faults } = parseAnnotations({ 'SlimFaas/Function': 'true', [name]: text });
      assert.equal(isFunction, true);
      if (name === 'SlimFaas/SubscribeEvents') continue; // any text is an event's name
      assert.deepEqual(
        faults.map(({ annotation }) => annotation),
        [name],
        `${name} at ${depth}`,
      );
    }
  }
});

test('depth is counted outside of texts, and closed levels do not count', () => {
  assert.equal(isTooDeep(nested(MAX_JSON_DEPTH)), false);
  assert.equal(isTooDeep(nested(MAX_JSON_DEPTH + 1)), true);
  assert.equal(isTooDeep(`["${'['.repeat(100)}"]`), false);
  assert.equal(isTooDeep(`["\\"${'['.repeat(100)}"]`), false);
  assert.equal(isTooDeep(`["\\\\",${nested(MAX_JSON_DEPTH)}]`), true);
  assert.equal(isTooDeep(`[${Array(100).fill('[]').join(',')}]`), false);
});

test('a value beyond the bound is not read, and says so once', () => {
  const { spec, faults } = parseAnnotations({
    'SlimFaas/NumberParallelRequestPerPod': '1'.repeat(MAX_VALUE_LENGTH + 1),
    'SlimFaas/Scale': JSON.stringify({ x: 'y'.repeat(MAX_VALUE_LENGTH) }),
  });
  assert.equal(spec.parallelPerPod, 10);
  assert.equal(spec.scale, undefined);
  assert.equal(faults.length, 2);
  for (const { value, problem } of faults) {
    assert.ok(value.length <= 200);
    assert.match(problem, /characters; allowed: at most 65536$/);
  }
});

test('paths that are too many to be compared on each call are all Private', () => {
  const rules = (count: number) => Array.from({ length: count }, (_, i) => `/${i.toString(36)}`).join(',');
  const read = (text: string) => parseAnnotations({ 'SlimFaas/PathsStartWithVisibility': text });
  assert.equal(read(rules(MAX_PATH_RULES)).spec.pathVisibility.length, MAX_PATH_RULES);
  for (const text of [rules(MAX_PATH_RULES + 1), rules(40_000)]) {
    const { spec, faults } = read(text);
    assert.deepEqual(spec.pathVisibility, [{ visibility: 'Private', prefix: '/' }]);
    assert.equal(faults.length, 1);
  }
});

test('lists end at the bound: dependencies, events, triggers, retries', () => {
  const names = Array.from({ length: 2_000 }, (_, i) => `a${i}`).join(',');
  const retries = { DefaultAsync: { TimeoutRetries: Array<number>(2_000).fill(0) } };
  const triggers = { Triggers: Array.from({ length: 500 }, () => ({ MetricName: 'queue', Threshold: 1 })) };
  const { spec, faults } = parseAnnotations({
    'SlimFaas/DependsOn': names,
    'SlimFaas/SubscribeEvents': names,
    'SlimFaas/Scale': JSON.stringify(triggers),
    'SlimFaas/Configuration': JSON.stringify(retries),
  });
  assert.equal(spec.dependsOn.length, MAX_ITEMS);
  assert.equal(spec.subscribeEvents.length, MAX_ITEMS);
  assert.equal(spec.scale?.triggers.length, MAX_ITEMS);
  assert.deepEqual(spec.async.timeoutRetriesSeconds, [2, 4, 8]);
  assert.equal(faults.length, 4);
});

test('any number of faults is a bounded list that says how many more there are', () => {
  const many = (count: number, name: (i: number) => string) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), '1']));
  const unknownKeys = parseAnnotations(many(5_000, (i) => `SlimFaas/ReplicasMim${i}`)).faults;
  const unknownProperties = parseAnnotations({
    'SlimFaas/Scale': JSON.stringify(many(4_000, (i) => `K${i}`)),
  }).faults;
  assert.equal(unknownKeys.length, MAX_FAULTS);
  assert.match(unknownKeys.at(-1)?.problem ?? '', /^4971 more faults are not shown/);
  assert.match(unknownProperties.at(-1)?.problem ?? '', /^3990 more unknown properties/);
  for (const faults of [unknownKeys, unknownProperties])
    assert.ok(JSON.stringify(faults).length < 30_000, 'they fit into a status answer');
});

test('names of any length are cut in faults', () => {
  const { faults } = parseAnnotations({ 'SlimFaas/Scale': JSON.stringify({ ['k'.repeat(50_000)]: 1 }) });
  assert.equal(faults.length, 1);
  assert.ok(JSON.stringify(faults).length < 1_500);
});
