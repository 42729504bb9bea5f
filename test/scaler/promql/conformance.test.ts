/**
 * Prometheus's own tests of PromQL, as far as Go can fetch them: each evaluation agrees, or is refused with an error that
 * says what is not supported. Left out are native histograms, and what a range query adds to an instant one, which
 * triggers do not have. Known differences are features that Prometheus itself has off by default.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runScript, type Outcome } from './promqltest/run.ts';

const MODULE = 'github.com/prometheus/prometheus@v0.312.0';

/** Files whose tests need a feature flag of Prometheus, with how many of their evaluations differ without it. */
const BEHIND_FLAGS: Readonly<Record<string, number>> = {
  'name_label_dropping.test': 8, // promql-delayed-name-removal
  'type_and_unit.test': 17, // type-and-unit-labels
};
/** It cannot be read: samples with start timestamps (created-timestamp-zero-ingestion). */
const UNREAD = new Set(['start_timestamps.test']);
const LEAST_AGREEING = 940;

function fetched(): string | undefined {
  const { stdout, status } = spawnSync('go', ['mod', 'download', '-json', MODULE], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  return join((JSON.parse(stdout) as { Dir: string }).Dir, 'promql/promqltest/testdata');
}

const folder = fetched();

test('Prometheus’s own tests', { skip: folder === undefined && `Go cannot fetch ${MODULE}` }, async (t) => {
  let agreeing = 0;
  for (const file of readdirSync(folder as string).filter((name) => name.endsWith('.test'))) {
    if (UNREAD.has(file)) continue;
    await t.test(file, () => {
      const outcomes = runScript(readFileSync(join(folder as string, file), 'utf8'));
      const differing = outcomes.filter(({ result }) => result === 'differs');
      const list = differing.map(({ line, query, why }: Outcome) => `${file}:${line} ${query}: ${why}`);
      assert.equal(differing.length, BEHIND_FLAGS[file] ?? 0, list.join('\n'));
      agreeing += outcomes.filter(({ result }) => result === 'agrees').length;
    });
  }
  assert.ok(agreeing >= LEAST_AGREEING, `${agreeing} evaluations agree`);
});
