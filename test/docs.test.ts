/** What the documents promise to be there is there: links, and a test for each behaviour. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { REASON_STATUS } from '../common/runtime/errors.ts';
import { proxyFlags } from '../proxy/flags.ts';
import { scalerFlags } from '../scaler/flags.ts';
import { sidecarFlags } from '../common/function/sidecar-flags.ts';
import { webhookFlags } from '../webhook/flags.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const PART_FLAGS = [proxyFlags, scalerFlags, sidecarFlags, webhookFlags];
const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name)),
];

/** The fragment that a heading has on the usual hosts: lower case, spaces as hyphens, no other punctuation. */
function anchorsOf(file: string): Set<string> {
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, text = '']) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function leadsSomewhere(from: string, link: string): boolean {
  if (/^https?:/.test(link)) return true;
  const [path = '', fragment] = link.split('#');
  const target = path === '' ? join(root, from) : join(root, dirname(from), path);
  if (!existsSync(target)) return false;
  return fragment === undefined || !target.endsWith('.md') || anchorsOf(target).has(fragment);
}

for (const path of documents.filter((name) => name.endsWith('.md'))) {
  test(`every link of ${path} leads somewhere`, () => {
    const links = [...readFileSync(join(root, path), 'utf8').matchAll(/\]\(([^)\s]+)[^)]*\)/g)];
    const broken = links.map(([, link = '']) => link).filter((link) => !leadsSomewhere(path, link));
    assert.deepEqual(broken, []);
  });
}

test('docs/README.md leads to every page; decisions are a folder', () => {
  const index = readFileSync(join(root, 'docs/README.md'), 'utf8');
  const pages = documents
    .filter((name) => /^docs\/.*\.md$/.test(name) && !/^docs\/(?:README\.md|decisions\/)/.test(name))
    .map((name) => name.slice('docs/'.length));
  assert.ok(pages.length > 20);
  assert.deepEqual(
    pages.filter((page) => !index.includes(`](${page})`)),
    [],
  );
});

test('docs/reference/reasons.md has every reason with its status, and no other', () => {
  const rows = readFileSync(join(root, 'docs/reference/reasons.md'), 'utf8').matchAll(
    /^\| `([a-z-]+)` \| (\d+)/gm,
  );
  const documented = Object.fromEntries([...rows].map(([, code, status]) => [code, Number(status)]));
  assert.deepEqual(documented, { ...REASON_STATUS });
});

test('the index of behaviours names all 41, each with a test that bears its number', () => {
  const rows = [
    ...readFileSync(join(root, 'docs/internals/behaviours.md'), 'utf8').matchAll(
      /^\| (\d+) \|[^|]*\|(.*)\|$/gm,
    ),
  ];
  assert.deepEqual(
    rows.map(([, number]) => Number(number)),
    Array.from({ length: 41 }, (_, i) => i + 1),
  );
  for (const [, number, cells = ''] of rows) {
    const files = [...cells.matchAll(/\(\.\.\/\.\.\/([^)]+)\)/g)].map((match) => match[1] as string);
    assert.ok(files.length > 0, `behaviour ${number} has a test`);
    for (const file of files) {
      assert.match(readFileSync(join(root, file), 'utf8'), new RegExp(`behaviour ${number}(?!\\d)`), file);
    }
  }
});

const BOUNDS_HEAD = [
  'What grows',
  'Who can grow it',
  'Bound, and what is beyond it',
  'Flag',
  'Metric',
  'Test',
];

test('each bound names a flag or says that it is fixed, a metric and a test, and all of them exist', () => {
  const lines = readFileSync(join(root, 'docs/bounds.md'), 'utf8').split('\n');
  const tables = lines.filter((line) => line.startsWith('|')).map(cellsOf);
  const heads = tables.filter(([first]) => first === BOUNDS_HEAD[0]);
  const rows = tables.filter(([first]) => first !== BOUNDS_HEAD[0] && !/^-+$/.test(first ?? ''));
  assert.ok(rows.length > 0);
  for (const head of heads) assert.deepEqual(head, BOUNDS_HEAD);
  const source = sourceText();
  for (const row of rows) checkBound(row, source);
});

function checkBound(row: readonly string[], source: string): void {
  assert.equal(row.length, BOUNDS_HEAD.length, row.join(' | '));
  const [what, , , flag = '', metric = '', tests = ''] = row;
  const flags = [...flag.matchAll(/`--([a-z0-9-]+)`/g)].map((match) => match[1] as string);
  if (flag !== 'fixed' && !flag.startsWith('annotation')) assert.ok(flags.length > 0, `${what}: a flag`);
  const known = new Set(PART_FLAGS.flatMap((table) => Object.keys(table)));
  for (const name of flags) assert.ok(known.has(name), `${what}: the flag --${name} exists`);
  const metrics = [...metric.matchAll(/`([a-z0-9_]+)/g)].map((match) => match[1] as string);
  assert.ok(metrics.length > 0, `${what}: a metric`);
  for (const name of metrics) {
    const short = name.replace(/^slimfaas_sidecar_/, '');
    assert.ok(source.includes(`'${name}'`) || source.includes(`'${short}'`), `${what}: ${name} is exported`);
  }
  assert.match(tests, /\(\.\.\/test\/[^)]+\.test\.ts\)/, `${what}: a test`);
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

function sourceText(): string {
  return ['proxy', 'sidecar', 'scaler', 'webhook', 'common']
    .flatMap((part) =>
      readdirSync(join(root, part), { recursive: true, encoding: 'utf8' }).map((name) =>
        join(root, part, name),
      ),
    )
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
}
