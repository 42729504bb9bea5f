/** Quantities as Kubernetes writes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQuantity } from '../../../common/function/quantity.ts';

for (const [text, value] of [
  ['1', 1],
  ['250m', 0.25],
  ['64Mi', 67_108_864],
  ['1.5Gi', 1_610_612_736],
  ['2k', 2_000],
  ['1e3', 1_000],
  ['.5Ki', 512],
  ['-2', -2],
] as const)
  test(`${text} is ${value}`, () => assert.equal(parseQuantity(text), value));

for (const text of ['many', '', '1e3k', '1 Gi', '64mi', 'Mi', '1.2.3'])
  test(`${JSON.stringify(text)} is none`, () => assert.equal(parseQuantity(text), undefined));
