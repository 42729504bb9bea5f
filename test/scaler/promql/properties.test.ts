import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PromqlError } from '../../../scaler/promql/error.ts';
import { compileQuery, queryNumber, runQuery } from '../../../scaler/promql/query.ts';
import { world } from './world.ts';

const STORE = world(15, {
  'a{x="1",le="1"}': [0, 5, 3, Number.NaN, 8, Infinity],
  'a{x="2",le="+Inf"}': [1, 6, 9, 2],
  'b{x="1"}': [2],
});

/** Runs it; whatever goes wrong must be a PromqlError. */
function attempt(text: string): void {
  try {
    const query = compileQuery(text);
    const value = runQuery(query, STORE, 60_000, { maxSamples: 20_000 });
    assert.ok(['scalar', 'vector', 'matrix', 'string'].includes(value.type));
    const number = value.type === 'matrix' || value.type === 'string' ? 0 : queryNumber(query, STORE, 60_000);
    assert.ok(number === undefined || Number.isFinite(number));
  } catch (error) {
    assert.ok(error instanceof PromqlError, `${text}: ${String(error)}`);
  }
}

test('any text: an answer or a PromqlError', () => {
  const tokens =
    'a b sum rate ( ) [5m] [1m:15s] { } , by (x) on(x) ignoring group_left offset 1m @ + - * / ^ == bool and or unless 1 0 -1 Inf NaN "x" =~ != ".*" topk histogram_quantile start() end() time() vector scalar absent label_replace'.split(
      ' ',
    );
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...tokens), { maxLength: 14 }).map((list) => list.join(' ')),
      attempt,
    ),
    { numRuns: 4_000 },
  );
  fc.assert(fc.property(fc.string({ unit: 'binary' }), attempt), { numRuns: 1_000 });
});

const scalarQuery = fc.oneof(
  fc.double().map((n) => String(n).replace('Infinity', 'Inf')),
  fc.constantFrom('time()', 'scalar(b)', '1h', 'NaN'),
);

const vectorQuery = fc.letrec<{ v: string; m: string }>((tie) => ({
  v: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('a', 'b', 'a{x="1"}', 'a{x!~"1|3"}', 'a offset 15s', 'b @ 0', 'vector(1)', 'nothing'),
    fc
      .tuple(
        fc.constantFrom(
          'rate',
          'increase',
          'irate',
          'delta',
          'max_over_time',
          'stddev_over_time',
          'absent_over_time',
          'deriv',
          'last_over_time',
        ),
        tie('m'),
      )
      .map(([f, m]) => `${f}(${m})`),
    fc
      .tuple(fc.constantFrom('sum', 'avg by (x)', 'max without (le)', 'count', 'stddev'), tie('v'))
      .map(([f, v]) => `${f} (${v})`),
    fc
      .tuple(fc.constantFrom('topk', 'bottomk', 'quantile'), scalarQuery, tie('v'))
      .map(([f, s, v]) => `${f}(${s}, ${v})`),
    fc
      .tuple(fc.constantFrom('abs', 'ceil', 'sgn', 'ln', 'absent', 'timestamp', 'hour', 'sort'), tie('v'))
      .map(([f, v]) => `${f}(${v})`),
    fc
      .tuple(fc.constantFrom('clamp_min', 'clamp_max', 'round'), tie('v'), scalarQuery)
      .map(([f, v, s]) => `${f}(${v}, ${s})`),
    fc.tuple(scalarQuery, tie('v')).map(([s, v]) => `histogram_quantile(${s}, ${v})`),
    fc
      .tuple(
        tie('v'),
        fc.constantFrom(
          '+',
          '/',
          '%',
          '^',
          '> bool',
          '<',
          '== on(x)',
          '* ignoring(le)',
          '- on(x) group_left(le)',
          'and',
          'or',
          'unless on(x)',
        ),
        tie('v'),
      )
      .map(([l, op, r]) => `(${l}) ${op} (${r})`),
    fc
      .tuple(tie('v'), fc.constantFrom('+', '-', '>', '!=', '>= bool'), scalarQuery)
      .map(([l, op, r]) => `(${l}) ${op} ${r}`),
  ),
  m: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('a[1m]', 'b[1m]', 'a[30s] offset 15s', 'nothing[5m]'),
    tie('v').map((v) => `(${v})[1m:15s]`),
  ),
})).v;

test('any well-typed query is understood, and fails only on its data', () => {
  fc.assert(
    fc.property(vectorQuery, (text) => {
      const query = compileQuery(text);
      try {
        const value = runQuery(query, STORE, 60_000, { maxSamples: 20_000 });
        assert.equal(value.type, 'vector');
      } catch (error) {
        assert.ok(error instanceof PromqlError, `${text}: ${String(error)}`);
        assert.ok(error.code === 'execution' || error.code === 'too-expensive', `${text}: ${error.message}`);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a rate of a counter that only rises lies between nothing and its steepest step', () => {
  const steps = fc.array(fc.nat(100), { minLength: 4, maxLength: 20 });
  fc.assert(
    fc.property(steps, (rises) => {
      let total = 0;
      const values = rises.map((rise) => (total += rise));
      const store = world(15, { c: values });
      const rate = queryNumber(
        compileQuery(`rate(c[${values.length * 15}s])`),
        store,
        (values.length - 1) * 15_000,
      );
      const steepest = Math.max(...rises.slice(1)) / 15;
      assert.ok(rate !== undefined && rate >= 0 && rate <= steepest * (1 + 1e-9), `${rate} of ${steepest}`);
    }),
  );
});

test('behaviour 36: whatever a counter does, its increase is not negative', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 2, maxLength: 20 }), (values) => {
      const store = world(15, { c: values });
      const increase = queryNumber(compileQuery('increase(c[10m])'), store, (values.length - 1) * 15_000);
      assert.ok(increase !== undefined && increase >= 0);
    }),
  );
});

test('a sum by labels, summed again, is the sum', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(1_000)), { minLength: 1, maxLength: 16 }),
      (items) => {
        const series = Object.fromEntries(items.map(([x, y, value]) => [`g{x="${x}",y="${y}"}`, [value]]));
        const store = world(15, series);
        const number = (text: string) => queryNumber(compileQuery(text), store, 0);
        const expected = Object.values(series).reduce((sum, [value]) => sum + (value as number), 0);
        assert.equal(number('sum(g)'), expected);
        assert.equal(number('sum(sum by (x) (g))'), expected);
        assert.equal(number('sum(sum without (x) (g))'), expected);
      },
    ),
  );
});
