/** What docs/operations.md gives people to copy: values that the chart takes, and rules about metrics that there are. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { renderChart } from './manifests.ts';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const blocks = [
  ...readFileSync(join(root, 'docs/operations.md'), 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```$/gm),
].map(([, text = '']) => parse(text) as object);
const rules = blocks
  .filter((block): block is Rules => 'groups' in block)
  .flatMap(({ groups }) => groups.flatMap((group) => group.rules));
const values = blocks.filter((block) => !('groups' in block));

/** Every metric that the sources name; the sidecar's short names get their prefix in one place. */
function metricNames(): Set<string> {
  const files = globSync('{common,proxy,scaler,webhook,sidecar}/**/*.ts', { cwd: root });
  const texts = files.map((file) => readFileSync(join(root, file), 'utf8'));
  const whole = texts.flatMap((text) => [...text.matchAll(/'(slimfaas_[a-z_]+)'/g)].map(([, name]) => name));
  const sidecar = readFileSync(join(root, 'sidecar/admin/metrics.ts'), 'utf8');
  assert.match(sidecar, /`slimfaas_sidecar_\$\{name\}`/);
  const short = [...sidecar.matchAll(/(?:counter|gauge)\(\s*registry,\s*'([a-z_]+)'/g)];
  return new Set([...whole, ...short.map(([, name]) => `slimfaas_sidecar_${name}`)] as string[]);
}

test('its values are values of the chart', async () => {
  assert.equal(values.length, 1);
  for (const each of values) assert.ok((await renderChart(each)).length > 20);
});

test('its alerts are PromQL', () => {
  assert.ok(rules.length > 10);
  for (const { alert, expr } of rules) {
    const errors: string[] = [];
    parser.parse(expr).iterate({
      enter: ({ type, from }) => void (type.isError && errors.push(`${alert}: at ${from} of ${expr}`)),
    });
    assert.deepEqual(errors, []);
  }
});

test('its alerts are about metrics that there are', () => {
  const known = metricNames();
  const used = rules.flatMap(({ expr }) => [...expr.matchAll(/\bslimfaas_[a-z_]+/g)].map(([name]) => name));
  assert.deepEqual(
    used.filter((name) => !known.has(name)),
    [],
  );
});
