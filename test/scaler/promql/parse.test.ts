import { test } from 'node:test';
import assert from 'node:assert/strict';
import { PromqlError, type PromqlErrorCode } from '../../../scaler/promql/error.ts';
import { durationMs, unquote } from '../../../scaler/promql/parse/literals.ts';
import { parsePromql } from '../../../scaler/promql/parse/parse.ts';
import { compileQuery, historyMs } from '../../../scaler/promql/query.ts';

/** query, code, position (from 0), a word of the message. */
const ERRORS: readonly [string, PromqlErrorCode, number | undefined, RegExp][] = [
  ['', 'syntax', 0, /end of query/],
  ['   ', 'syntax', 3, /end of query/],
  ['a{', 'syntax', 2, /end of query/],
  ['a +', 'syntax', 3, /end of query/],
  ['sum(a', 'syntax', 5, /end of query/],
  ['a b', 'syntax', 2, /unexpected "b"/],
  ['a{b=c}', 'syntax', 4, /unexpected "c}"/],
  ['a{b="c}', 'syntax', 7, /end of query/],
  ['a{b="\\q"}', 'syntax', 4, /unknown escape/],
  ['{}', 'syntax', 0, /needs a matcher/],
  ['{a=""}', 'syntax', 0, /needs a matcher/],
  ['{a=~".*"}', 'syntax', 0, /needs a matcher/],
  ['a{b=~"("}', 'syntax', 5, /invalid regular expression/],
  ['a[0s]', 'syntax', 2, /above 0/],
  ['sum(a)[5m]', 'syntax', 7, /behind a selector/],
  ['1 offset 5m', 'syntax', 9, /behind a selector/],
  ['(a + b) offset 5m', 'syntax', 15, /behind a selector/],
  ['foo(a)', 'unsupported', 0, /unknown function foo/],
  ['1 + holt_winters(a[5m], 1, 1)', 'unsupported', 4, /unknown function holt_winters/],
  ['limit_ratio(1, a)', 'unsupported', 0, /not supported/],
  ['info(a)', 'unsupported', 0, /function info is not supported/],
  ['a[5m] smoothed', 'unsupported', 0, /not supported/],
  ['a </ 1', 'unsupported', 2, /not supported/],
  ['a + on(x) fill(0) b', 'unsupported', 10, /not supported/],
  ['a[1m + 1m]', 'unsupported', 2, /not supported/],
  ['a[step()]', 'unsupported', 2, /not supported/],
  ['a{b=~"x(?=y)"}', 'syntax', 5, /invalid or unsupported Perl syntax/],
  ['a{b=~"(x)\\\\1"}', 'syntax', 5, /invalid escape/],
  ['a{b=~"(x{100}){10}"}', 'unsupported', 5, /instructions/],
  ['rate(a)', 'type', 5, /needs a range vector, not an instant vector/],
  ['sum(a[5m])', 'type', 4, /needs an instant vector/],
  ['abs(1)', 'type', 4, /needs an instant vector, not a scalar/],
  ['vector(a)', 'type', 7, /needs a scalar/],
  ['rate(a[5m], 1)', 'type', 0, /takes 1 arguments, got 2/],
  ['clamp(a)', 'type', 0, /takes 3 arguments, got 1/],
  ['round(a, 1, 2)', 'type', 0, /takes 1 to 2 arguments/],
  ['label_join(a)', 'type', 0, /takes 3 or more arguments/],
  ['topk(a)', 'type', 0, /needs a parameter/],
  ['sum(1, a)', 'type', 0, /takes no parameter/],
  ['topk("1", a)', 'type', 5, /needs a scalar/],
  ['sum(a, b, c)', 'syntax', 0, /one or two arguments/],
  ['1 > 2', 'type', 0, /needs bool/],
  ['a + bool b', 'type', 0, /bool belongs to a comparison/],
  ['1 and a', 'type', 0, /for vectors only/],
  ['a + on(x) 1', 'type', 0, /two vectors/],
  ['a and on(x) group_left b', 'type', 0, /no group_left/],
  ['a + on(x) group_left(x) b', 'type', 0, /both in on and in the group/],
  ['"x" + 1', 'type', 0, /not a string/],
  ['-"x"', 'type', 1, /not a string/],
  ['a[5m] > 1', 'type', 0, /not a range vector/],
  ['1[5m:1m]', 'type', 0, /subquery needs an instant vector/],
];

for (const [query, code, position, message] of ERRORS) {
  test(`${JSON.stringify(query)} is a ${code} error at ${position}`, () => {
    assert.throws(
      () => parsePromql(query),
      (error: unknown) => {
        assert.ok(error instanceof PromqlError, String(error));
        assert.equal(error.code, code, error.message);
        assert.equal(error.position, position, error.message);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

const QUERIES_OF_USERS = [
  'max_over_time(slimfaas_function_queue_ready_items{function="fibonacci1"}[30s])',
  'max_over_time(slimfaas_function_queue_ready_items{function="fibonacci"}[30s]) / 100',
  'sum(rate(http_server_requests_seconds_count{namespace="default",job="fibonacci"}[1m]))',
  'histogram_quantile(0.95, sum by (le) (rate(http_server_requests_seconds_bucket{namespace="default"}[1m])))',
  'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) * 100',
  'avg by (pod) (irate(container_cpu_usage_seconds_total{pod=~"app-.+", container!=""}[2m])) # CPU',
  'clamp_min(sum(increase(jobs_total[10m])) - 5, 0) or vector(0)',
  'sum by (namespace) (kube_pod_info) * on (namespace) group_left (team) kube_namespace_labels',
];

for (const query of QUERIES_OF_USERS) {
  test(`${query.slice(0, 60)}… is understood`, () => assert.ok(compileQuery(query).selectors.length > 0));
}

test('a query says which series it needs and how far back it looks', () => {
  const query = compileQuery('sum(rate(a{x="1"}[10m] offset 5m)) / b');
  assert.deepEqual(
    query.selectors.map((matchers) => matchers.map(({ label, op, value }) => `${label}${op}${value}`)),
    [['__name__=a', 'x=1'], ['__name__=b']],
  );
});

/** query → how many seconds before the evaluation, at 10,000 s, the oldest sample lies that it needs. */
const HISTORIES: readonly [query: string, seconds: number][] = [
  ['a', 0],
  ['1 + 1', 0],
  ['a offset 5m', 300],
  ['a offset -5m', 0],
  ['rate(a[10m])', 600],
  ['rate(a[10m] offset 5m)', 900],
  ['rate(a[10m] offset -5m)', 300],
  ['a + rate(b[1m]) / sum(increase(c[1h]))', 3_600],
  ['max_over_time(rate(a[5m])[1h:1m])', 3_900],
  ['max_over_time(rate(a[5m])[1h:1m] offset 1m)', 3_960],
  ['a @ 9000', 1_000],
  ['rate(a[1m] @ 9000 offset 1m)', 1_120],
  ['max_over_time(a[1h:1m] @ 9000)', 4_600],
  ['max_over_time((a @ 9000)[1h:1m])', 1_000],
  ['topk(1, quantile_over_time(0.5, a[2m]))', 120],
];
for (const [text, seconds] of HISTORIES) {
  test(`${text} needs ${seconds} s of history`, () => {
    assert.equal(historyMs(compileQuery(text), 10_000_000) / 1_000, seconds);
  });
}

test('in the scope of a function, a selector sees its series unless it says whose it wants', () => {
  const selectorsOf = (text: string) =>
    compileQuery(text, { namespace: 'shop', function: 'fn' }).selectors.map((matchers) =>
      matchers
        .filter(({ label }) => label !== '__name__')
        .map(({ label, op, value }) => `${label}${op}${value}`),
    );
  const own = ['namespace=shop', 'function=fn'];
  assert.deepEqual(selectorsOf('a'), [own]);
  assert.deepEqual(selectorsOf('a{x="1"}'), [['x=1', ...own]]);
  assert.deepEqual(selectorsOf('a{function="b"}'), [['function=b', 'namespace=shop']]);
  assert.deepEqual(selectorsOf('a{namespace="x"}'), [['namespace=x', 'function=fn']]);
  assert.deepEqual(selectorsOf('a{function="",namespace=~".*"}'), [['function=', 'namespace=~.*']]);
  assert.deepEqual(selectorsOf('-sum(rate(a[5m])) / topk(scalar(b), max_over_time(c[1m:1s]))'), [
    own,
    own,
    own,
  ]);
});

test('a query is bounded in length and depth', () => {
  assert.throws(() => parsePromql(`a${' '.repeat(10_001)}`), { code: 'unsupported' });
  assert.throws(() => parsePromql(`${'('.repeat(4_000)}1${')'.repeat(4_000)}`), { code: 'unsupported' });
  assert.throws(() => parsePromql('-'.repeat(5_000) + 'a'), { code: 'unsupported' });
  assert.ok(parsePromql(Array.from({ length: 100 }, () => 'a').join(' + ')));
});

test('durations', () => {
  assert.equal(durationMs('1h30m'), 5_400_000);
  assert.equal(durationMs('15ms'), 15);
  assert.equal(durationMs('1y1w1d1h1m1s1ms'), 32_230_861_001);
  assert.equal(durationMs('5'), undefined);
  assert.equal(durationMs('m'), undefined);
});

test('strings: escapes in quotes, none in back quotes', () => {
  assert.equal(
    unquote(String.raw`"a\n\t\\\"\x41\u00e9\U0001F600\101"`, 0),
    'a\n\t\\"AéA'.replace('éA', 'é😀A'),
  );
  assert.equal(unquote(String.raw`'\''`, 0), "'");
  assert.equal(unquote('`a\\n"`', 0), 'a\\n"');
  for (const bad of ['"a', '"\\', '"\\q"', '"\\x1"', '"\\U00110000"']) {
    assert.throws(() => unquote(bad, 0), { code: 'syntax' }, bad);
  }
});
