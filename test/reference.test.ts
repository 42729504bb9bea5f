/** The pages of docs/reference say what the code has: every flag, metric, annotation and route, and no other. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ANNOTATION } from '../common/function/annotations/index.ts';
import { BUILT_IN_NAMES } from '../common/function/built-in-triggers.ts';
import { busPage } from '../docs/render-bus.ts';
import { flagsPage } from '../docs/render-flags.ts';
import { metricNames, metricsPage } from '../docs/render-metrics.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

test('docs/reference/flags.md is what the tables of flags say (npm run docs)', () => {
  assert.equal(read('docs/reference/flags.md'), flagsPage());
});

test('docs/reference/bus.md is what the permissions say (npm run docs)', () => {
  assert.equal(read('docs/reference/bus.md'), busPage());
});

test('docs/reference/metrics.md is what the registries say (npm run docs)', async () => {
  assert.equal(read('docs/reference/metrics.md'), await metricsPage());
});

test('no part names a metric that the page does not have', async () => {
  const known = new Set(await metricNames());
  const named = [...sourceText().matchAll(/'(slimfaas_[a-z0-9_]*[a-z0-9])'/g)].map(([, name = '']) => name);
  assert.ok(named.length > 30, 'the search still finds names');
  const unknown = named.filter((name) => !known.has(name.replace(/_(?:bucket|sum|count)$/, '')));
  assert.deepEqual(unknown, []);
});

test('docs/reference/annotations.md has every annotation, and no other', () => {
  const page = read('docs/reference/annotations.md');
  for (const name of Object.values(ANNOTATION)) assert.ok(page.includes(name), name);
  const known = new Set<string>(Object.values(ANNOTATION));
  const rows = [...page.matchAll(/^\| `((?:SlimFaas|slimfaas\.dev)\/[A-Za-z-]+)` \|/gm)];
  assert.ok(rows.length > 20);
  for (const [, name = ''] of rows) assert.ok(known.has(name), `${name} is an annotation`);
});

test('docs/reference/scaling.md has every trigger that is measured here', () => {
  const page = read('docs/reference/scaling.md');
  for (const name of BUILT_IN_NAMES) assert.ok(page.includes(`\`${name}\``), name);
});

test('docs/reference/routes.md has every route of every part, and no other', () => {
  const page = read('docs/reference/routes.md');
  const rows = page.split('\n').filter((line) => line.startsWith('| ') || line.includes('`/'));
  const documented = new Set(
    [...rows.join('\n').matchAll(/`(?:[A-Z]+ )?(\/[^\s`]*)`/g)].map(([, path]) => path),
  );
  const routes = routesOf(sourceText());
  assert.ok(routes.length > 20, 'the search still finds routes');
  assert.deepEqual(
    routes.filter((path) => !documented.has(path)),
    [],
  );
  const ours = new Set([...routes, '/', '/status-page/', '/places', '/package.Service/Method']);
  assert.deepEqual(
    [...documented].filter((path) => path !== undefined && !ours.has(path)),
    [],
  );
});

/** Paths of routers, and the prefixes that are matched before them. */
function routesOf(source: string): string[] {
  const ofRouters = [...source.matchAll(/\b(?:router\.(?:get|post|delete|all)|readiness)\('(\/[^']+)'/g)].map(
    ([, path = '']) => path.replaceAll(/:(\w+)/g, '{$1}'),
  );
  const prefixes = [...source.matchAll(/^export const \w+_PREFIX = '(\/[a-z-]+\/)';/gm)].map(
    ([, prefix = '']) => `${prefix}{${prefix === '/publish-event/' ? 'event' : 'name'}}/{path}`,
  );
  const constants = [...source.matchAll(/^const PATH = '(\/[^']+)';/gm)].map(([, path = '']) => path);
  return [...new Set([...ofRouters, ...prefixes, ...constants])];
}

function sourceText(): string {
  return ['proxy', 'sidecar', 'scaler', 'webhook', 'common']
    .flatMap((part) =>
      readdirSync(join(root, part), { recursive: true, encoding: 'utf8' }).map((name) => join(part, name)),
    )
    .filter((path) => path.endsWith('.ts'))
    .map(read)
    .join('\n');
}
