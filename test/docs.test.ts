/** What the documents promise to be there is there: links, and a test for each behaviour. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const documents = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name)),
];

for (const path of documents.filter((name) => name.endsWith('.md'))) {
  test(`every link of ${path} leads somewhere`, () => {
    const links = [...readFileSync(join(root, path), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(
      (match) => match[1] as string,
    );
    const broken = links.filter(
      (link) => !/^https?:/.test(link) && !existsSync(join(root, dirname(path), link)),
    );
    assert.deepEqual(broken, []);
  });
}

test('the index of behaviours names all 41, each with a test that bears its number', () => {
  const rows = [
    ...readFileSync(join(root, 'docs/behaviours.md'), 'utf8').matchAll(/^\| (\d+) \|[^|]*\|(.*)\|$/gm),
  ];
  assert.deepEqual(
    rows.map(([, number]) => Number(number)),
    Array.from({ length: 41 }, (_, i) => i + 1),
  );
  for (const [, number, cells = ''] of rows) {
    const files = [...cells.matchAll(/\(\.\.\/([^)]+)\)/g)].map((match) => match[1] as string);
    assert.ok(files.length > 0, `behaviour ${number} has a test`);
    for (const file of files) {
      assert.match(readFileSync(join(root, file), 'utf8'), new RegExp(`behaviour ${number}(?!\\d)`), file);
    }
  }
});
