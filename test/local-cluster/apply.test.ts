/** What is said about manifests that cannot be used: file, document, field. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { applyManifests, parseManifests, readManifests } from '../../packages/local-cluster/apply.ts';
import { startLocalApi } from '../helpers/local-api.ts';

const { api } = await startLocalApi(after);
const dir = mkdtempSync(join(tmpdir(), 'slimfaas-test-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const GOOD = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { x: "1" }';

for (const [what, text, expected] of [
  ['broken YAML', `${GOOD}\n---\na: [1`, /^f\.yaml, document 2: Flow sequence .* at line 6, column \d+$/],
  [
    'a duplicate key',
    'kind: A\nkind: B',
    /^f\.yaml, document 1: Map keys must be unique at line 2, column 1$/,
  ],
  ['plain text', 'hello', /^f\.yaml, document 1: a manifest is a map of fields$/],
  ['a list', '- 1', /^f\.yaml, document 1: a manifest is a map of fields$/],
  ['no kind', 'apiVersion: v1', /^f\.yaml, document 1: kind is missing$/],
  ['no apiVersion', 'kind: Pod', /^f\.yaml, document 1: apiVersion is missing$/],
  [
    'no metadata',
    `${GOOD}\n---\napiVersion: v1\nkind: Pod`,
    /^f\.yaml, document 2: metadata\.name is missing$/,
  ],
  ['a list without items', 'apiVersion: v1\nkind: List', /^f\.yaml, document 1: items: a List needs a list/],
  [
    'a bad item',
    'apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1 }]',
    /^f\.yaml, document 1, items\[0\]: kind is missing$/,
  ],
] as const) {
  test(`parse: ${what}`, () => {
    assert.throws(() => parseManifests(text, 'f.yaml'), { code: 'usage', message: expected });
  });
}

test('documents that are empty or only comments are no manifests', () => {
  assert.equal(parseManifests(`# nothing\n---\n${GOOD}\n---\n# end\n`, 'f').length, 1);
});

for (const [what, text, expected] of [
  [
    'an unknown kind',
    'apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: a }',
    /^f\.yaml, document 1: kind: the local cluster knows no "Widget"$/,
  ],
  [
    'a wrong type',
    'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: eighty }] }',
    /^f\.yaml, document 1: .*port/,
  ],
  [
    'a missing selector',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec: { template: { spec: { containers: [{ name: a, image: b }] } } }',
    /^f\.yaml, document 1: Deployment\.apps "a" is invalid: .*spec\.selector/,
  ],
  [
    'a bad name',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: Not_Valid }',
    /^f\.yaml, document 1: ConfigMap "Not_Valid" is invalid: metadata\.name/,
  ],
  [
    'a namespace that is not there',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, namespace: nowhere }',
    /^f\.yaml, document 1: namespaces "nowhere" not found$/,
  ],
] as const) {
  test(`apply: ${what}`, async () => {
    await assert.rejects(applyManifests(api, parseManifests(text, 'f.yaml')), {
      code: 'usage',
      message: expected,
    });
  });
}

test('applying twice changes what is there and keeps what others have added', async () => {
  await applyManifests(api, parseManifests(GOOD, 'f'));
  await api.modify('configmaps', 'default', 'a', (draft) => void (draft.metadata.labels = { theirs: 'yes' }));
  await applyManifests(api, parseManifests(GOOD.replace('"1"', '"2"'), 'f'));
  const config = api.get('configmaps', 'default', 'a');
  assert.deepEqual(config?.['data'], { x: '2' });
  assert.deepEqual(config?.metadata.labels, { theirs: 'yes' });
});

test('a folder is read in the order of names, YAML only', () => {
  const folder = join(dir, 'folder');
  mkdirSync(folder);
  for (const name of ['b.yaml', 'a.yml', 'server.ts'])
    writeFileSync(join(folder, name), GOOD.replace('name: a', `name: ${name[0]}`));
  assert.deepEqual(
    readManifests(folder).map(({ object }) => object.metadata.name),
    ['a', 'b'],
  );
  assert.deepEqual(
    readManifests(join(folder, 'b.yaml')).map(({ origin }) => origin),
    [`${join(folder, 'b.yaml')}, document 1`],
  );
});

test('a path that is not there is named', () => {
  assert.throws(() => readManifests(join(dir, 'none.yaml')), {
    code: 'usage',
    message: `${join(dir, 'none.yaml')}: no such file or folder`,
  });
});
