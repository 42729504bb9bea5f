/** Patterns with RE2's syntax and meaning. The expected answers are those of Go's regexp package. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { PromqlError } from '../../../scaler/promql/error.ts';
import { compilePattern, PATTERN_LIMITS } from '../../../scaler/promql/pattern.ts';
import { compileQuery } from '../../../scaler/promql/query.ts';
import { expectAnswer, world } from './world.ts';

/** Pattern, texts that match, texts that do not. */
const CASES: readonly [pattern: string, matches: readonly string[], others: readonly string[]][] = [
  ['a', ['a'], ['', 'aa', 'ba', 'A']],
  ['', [''], ['a']],
  ['a.c', ['abc', 'a\nc', 'a😀c', 'aéc'], ['ac', 'abbc']],
  ['a|bc', ['a', 'bc'], ['abc', 'ac', 'b']],
  ['([0-9]{1,3}\\.){3}[0-9]{1,3}', ['10.0.0.7', '192.168.100.200'], ['10.0.0', '1000.0.0.1']],
  ['web(-[a-z0-9]+)+', ['web-a', 'web-7d9-x2z'], ['web', 'web-', 'web-A']],
  ['.*(?i:DUC).*', ['a duck', 'DUC', 'xDucx'], ['du c']],
  ['(?i)abc', ['ABC', 'aBc'], ['ab']],
  ['(?i:k)', ['k', 'K', '\u212a'], ['x']],
  ['(?s-m:a.b)', ['a\nb'], ['ab']],
  ['(?-s:a.b)', ['axb'], ['a\nb']],
  ['(?U)a+', ['a', 'aaa'], ['']],
  ['[[:alpha:]]+', ['abcXYZ'], ['a1', '']],
  ['[[:^digit:]x]', ['a', 'x', '-'], ['1']],
  ['[]f]oo', ['foo', ']oo'], ['oo', 'goo']],
  ['[^]f]oo', ['goo'], ['foo', ']oo']],
  ['[a-]', ['a', '-'], ['b']],
  ['\\pL+', ['añΩ'], ['a1']],
  ['\\p{Greek}\\PL', ['Ω1'], ['ΩΩ']],
  ['\\d\\D\\w\\W\\s\\S', ['1a_- x'], ['aa_- x']],
  ['\\x41\\x{1F600}\\101', ['A😀A'], ['AA']],
  ['\\Qa.*\\E+', ['a.*', 'a.**'], ['abc']],
  ['a{2}b{2,}c{0,1}', ['aabb', 'aabbbc'], ['abb', 'aabbcc']],
  ['{,3}', ['{,3}'], ['']],
  ['\\Aab\\z', ['ab'], ['abc']],
  ['a\\b-', ['a-'], ['ab']],
  ['(?P<n>a)(?<m>b)', ['ab'], ['a']],
  ['a\\/b\\-c', ['a/b-c'], ['a\\/b']],
];

for (const [source, matches, others] of CASES) {
  test(`pattern ${source}`, () => {
    const pattern = compilePattern(source);
    for (const text of matches) assert.ok(pattern.test(text), `matches ${JSON.stringify(text)}`);
    for (const text of others) assert.ok(!pattern.test(text), `does not match ${JSON.stringify(text)}`);
  });
}

const REFUSED = ['(?=a)b', '(?!a)', '(?<=a)b', '(a)\\1', 'a**', 'x{2}{3}', 'a{1001}', '\\Z', '\\C', '\\8'];
for (const source of [
  ...REFUSED,
  '[a-\\d]x[',
  '(',
  ')',
  'a)(b',
  '[[:foo:]]',
  '\\p{Nothing}',
  '(?z:a)',
  '[z-a]',
]) {
  test(`pattern ${source} is refused, and the error names it`, () => {
    const isNamed = (error: unknown) =>
      error instanceof PromqlError &&
      error.code === 'syntax' &&
      error.message.includes(JSON.stringify(source));
    assert.throws(() => compilePattern(source), isNamed);
  });
}

/** Each of them takes a backtracking engine longer than this test may last. */
const BLOW_UPS = [
  '(a|a)*b',
  '(a?a?)*b',
  '(?:a|aa)*b',
  '(|a)*b',
  '.*.*.*.*.*.*.*c',
  '(/api|/|a|/api/v1|aa)*c',
];
for (const source of [
  ...BLOW_UPS,
  '(a|a)+c',
  '(a+)+b',
  '(.*)*b',
  '((a*)*)*b',
  '(a*?)*?b',
  'a?'.repeat(100) + 'b',
]) {
  test(`pattern ${source.slice(0, 30)} over 10,000 characters comes to an end`, () => {
    const pattern = compilePattern(source);
    assert.equal(pattern.test('a'.repeat(10_000)), false);
    assert.equal(pattern.match('a'.repeat(10_000)), undefined);
  });
}

test('length and program of a pattern are bounded, and the error says the bound', () => {
  const long = 'a'.repeat(PATTERN_LIMITS.length + 1);
  assert.throws(() => compilePattern(long), /longer than 1000 characters/);
  assert.throws(() => compilePattern('((a{10}){10}){10}b{500}'), /instructions, at most 1000 are allowed/);
  assert.throws(() => compilePattern('((((a{10}){10}){10}){10}){10}'), /invalid repeat count/);
  assert.throws(() => compileQuery('x{a=~"(a{100}){10}"}'), /instructions.*at position/);
});

test('label_replace takes RE2 too, with groups by number and by name, and cannot be held up', () => {
  const store = world(15, {
    'x{l="web-7"}': [1],
    'x{l="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}': [2],
  });
  expectAnswer(
    store,
    'label_replace(x{l="web-7"}, "n", "$1/${num}/$2", "l", "([a-z]+)-(?P<num>[[:digit:]])")',
    0,
    {
      'x{l="web-7", n="web/7/7"}': 1,
    },
  );
  expectAnswer(store, 'sum(label_replace(x, "y", "z", "l", "(a|a)*b"))', 0, { '{}': 3 });
});
