import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ANNOTATION, parseAnnotations } from '../../../common/function/annotations/index.ts';

const KEYS = Object.values(ANNOTATION);
const FIELDS = Object.keys(parseAnnotations({}).spec);

const PROPERTIES =
  'DefaultSync HttpTimeout TimeoutRetries TimeZoneID Default WakeUp ScaleDownTimeout Time Value ReplicaMax Triggers Threshold Query Behavior ScaleUp Policies Type requests limits Monday __proto__ constructor toString'.split(
    ' ',
  );

/** JSON whose property names are often the right ones, so that the readers get past the first level. */
const almostJson = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, 0, 1, -1, 0.5, 1e9, '', '07:00', 'Percent', 'Value', true),
    fc.string({ maxLength: 6 }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...PROPERTIES), tie('value'), { maxKeys: 4 }),
  ),
})).value;

const anyValue = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom(
    'true',
    'FALSE',
    '',
    '   ',
    '0',
    '1',
    '-1',
    '99999999999999',
    'Public:/x,Private:',
    'a,,b',
    '[',
    '{}',
  ),
  almostJson.map((value) => JSON.stringify(value) ?? ''),
);

const anyAnnotations = fc.dictionary(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...KEYS) },
    { weight: 1, arbitrary: fc.string({ maxLength: 12 }).map((text) => `SlimFaas/${text}`) },
    { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
  ),
  anyValue,
  { maxKeys: 8 },
);

function assertFrozen(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return;
  assert.ok(Object.isFrozen(value), `${path} is frozen`);
  for (const [key, part] of Object.entries(value)) assertFrozen(part, `${path}.${key}`);
}

test('behaviour 37: whatever is written, a complete and frozen spec comes out, never an exception', () => {
  fc.assert(
    fc.property(anyAnnotations, (annotations) => {
      const parsed = parseAnnotations(annotations);
      assert.deepEqual(Object.keys(parsed.spec), FIELDS);
      assertFrozen(parsed, 'parsed');
      const { spec } = parsed;
      assert.ok(spec.replicasMin >= 0 && spec.replicasAtStart >= Math.max(1, spec.replicasMin));
      assert.ok(spec.parallelPerPod >= 1 && (spec.parallelLimit ?? 1) >= 1);
      for (const policy of [spec.sync, spec.async, spec.publish]) {
        assert.ok(policy.httpTimeoutSeconds > 0);
        for (const code of policy.httpStatusRetries) assert.ok(code >= 100 && code <= 599);
      }
      for (const trigger of spec.scale?.triggers ?? []) assert.ok(trigger.threshold > 0);
      for (const { prefix } of spec.pathVisibility) assert.ok(prefix.startsWith('/'));
      for (const fault of parsed.faults) {
        assert.ok(fault.annotation && fault.problem && fault.inForce, JSON.stringify(fault));
        assert.ok(fault.value.length <= 200 && fault.inForce.length <= 200);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a bad value changes no other field than its own', () => {
  const good = {
    'SlimFaas/Function': 'true',
    'SlimFaas/ReplicasAtStart': '2',
    'SlimFaas/NumberParallelRequest': '9',
  };
  const without = parseAnnotations(good);
  for (const key of KEYS.filter((key) => !(key in good))) {
    const { spec, isFunction, faults } = parseAnnotations({ ...good, [key]: '\u0000 no value at all {' });
    assert.equal(isFunction, true, key);
    assert.ok(faults.length > 0, key);
    assert.equal(spec.replicasAtStart, without.spec.replicasAtStart, key);
    assert.equal(spec.parallelLimit, without.spec.parallelLimit, key);
  }
});
