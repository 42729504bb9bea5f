import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Counter, Gauge, Histogram, Registry } from '../../../common/runtime/metrics.ts';
import { labelsOf } from '../../../scaler/promql/labels.ts';
import { parseTextFormat } from '../../../scaler/promql/store/text-format.ts';

function read(text: string) {
  const { samples, badLines } = parseTextFormat(text);
  return { badLines, samples: samples.map(({ labels, value }) => [Object.fromEntries(labels), value]) };
}

/** a line, its labels beside the name m, its value. */
const LINES: readonly [string, Record<string, string>, number][] = [
  ['m 1', {}, 1],
  ['  m   1.5e3  ', {}, 1500],
  ['m{} 1', {}, 1],
  ['m{a="b"} -2', { a: 'b' }, -2],
  ['m{a="b",c="d"} 3', { a: 'b', c: 'd' }, 3],
  ['m{ a = "b" , c = "d", } 3', { a: 'b', c: 'd' }, 3],
  ['m{a="x,y}z"} 4', { a: 'x,y}z' }, 4],
  [String.raw`m{a="q\"\\\n"} 5`, { a: 'q"\\\n' }, 5],
  ['m{a=""} 6', {}, 6],
  ['m +Inf', {}, Infinity],
  ['m -Inf', {}, -Infinity],
  ['m NaN', {}, Number.NaN],
  ['m 7 1395066363000', {}, 7],
  ['m{a="é"} 8\r', { a: 'é' }, 8],
  ['m{le="0.1"} 9 # {trace_id="x"} 0.05 1.5', { le: '0.1' }, 9],
];

for (const [line, labels, value] of LINES) {
  test(`${JSON.stringify(line)} is read`, () => {
    assert.deepEqual(read(line), { badLines: 0, samples: [[{ __name__: 'm', ...labels }, value]] });
  });
}

test('comments and empty lines are nothing; bad lines are counted and the others read', () => {
  const text = [
    '# HELP m x',
    '# TYPE m counter',
    '',
    '# EOF',
    'm 1',
    'm{',
    'm{a=b} 1',
    'm',
    'm x',
    '1m 1',
    'm{a="b" 1',
    'n 2',
  ];
  const { badLines, samples } = read(text.join('\n'));
  assert.equal(badLines, 6);
  assert.deepEqual(samples, [
    [{ __name__: 'm' }, 1],
    [{ __name__: 'n' }, 2],
  ]);
});

test('the target’s labels are added; one that the pod exports too is kept as exported_', () => {
  const targetLabels = labelsOf({ pod: 'p-1', namespace: 'x' });
  const { samples } = parseTextFormat('m{pod="own",a="b"} 1', { targetLabels });
  assert.deepEqual(Object.fromEntries(samples[0]?.labels ?? []), {
    __name__: 'm',
    pod: 'p-1',
    namespace: 'x',
    exported_pod: 'own',
    a: 'b',
  });
});

test('lines of metrics that nobody wants are skipped, even bad ones', () => {
  const { samples, badLines } = parseTextFormat('a 1\nb{ 2\nc 3', { wantsName: (name) => name !== 'b' });
  assert.equal(badLines, 0);
  assert.equal(samples.length, 2);
});

test('what our own metrics print is read back', async () => {
  const registry = new Registry();
  new Counter({ name: 'c_total', help: 'x', labelNames: ['a'], registers: [registry] }).inc(
    { a: 'q"\\\nz' },
    3,
  );
  new Gauge({ name: 'g', help: 'multi\nline', registers: [registry] }).set(-0.5);
  new Histogram({ name: 'h', help: 'x', buckets: [1, 2], registers: [registry] }).observe(1.5);
  const { badLines, samples } = read(await registry.metrics());
  assert.equal(badLines, 0);
  assert.deepEqual(samples, [
    [{ __name__: 'c_total', a: 'q"\\\nz' }, 3],
    [{ __name__: 'g' }, -0.5],
    [{ __name__: 'h_bucket', le: '1' }, 0],
    [{ __name__: 'h_bucket', le: '2' }, 1],
    [{ __name__: 'h_bucket', le: '+Inf' }, 1],
    [{ __name__: 'h_sum' }, 1.5],
    [{ __name__: 'h_count' }, 1],
  ]);
});

const escape = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');

test('any label value written by the rules is read back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.double(), (text, value) => {
      const { badLines, samples } = read(`m{a="${escape(text)}"} ${Object.is(value, -0) ? 0 : value}`);
      assert.equal(badLines, 0);
      assert.deepEqual(samples, [[{ __name__: 'm', a: text }, Object.is(value, -0) ? 0 : value]]);
    }),
  );
});

test('any text at all is read or counted, never thrown at, and in time', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'m{}="\\,# \n01.eNa'), maxLength: 200 }), (text) => {
      parseTextFormat(text);
    }),
    { numRuns: 1_000 },
  );
  const started = performance.now();
  parseTextFormat(`m{${'a="b",'.repeat(50_000)}`);
  parseTextFormat(`m{a="${'\\'.repeat(100_001)}`);
  parseTextFormat(`m ${' '.repeat(100_000)}x y`);
  assert.ok(performance.now() - started < 5_000);
});
