/**
 * The rooms of the code, held to docs/rooms.ts: what there is, who may import whom, and how big anything may be.
 * A failure names the file. Either the file is wrong, or the table is, and then it is changed there.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { COMPOSITION, ROOMS, withRooms } from '../docs/rooms.ts';
import lintRules from '../.oxlintrc.json' with { type: 'json' };
import { circles } from './helpers/code/circles.ts';
import { functionLengths } from './helpers/code/function-lengths.ts';
import { readImports, type ImportGraph } from './helpers/code/imports.ts';
import { constantsWithManyValues, sharedNames, unusedExports, unusedMembers } from './helpers/code/unused.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PARTS = ['common', 'proxy', 'sidecar', 'scaler', 'webhook', 'cli', 'packages/local-cluster'];
/** Parts whose rooms lead in one direction. Those of the proxy and of common do so by files alone. */
const FORWARD: ReadonlySet<string> = new Set([
  'sidecar',
  'scaler',
  'webhook',
  'cli',
  'packages/local-cluster',
]);
const LINES_PER_FILE = 300;
const FILES_PER_FOLDER = 15;
const MEDIAN_LINES = 100;
/** Of functions. */
const P90_LINES = 30;
/** Of the local cluster: what later work needs there is paid for by what no user and no test needs. */
const LOCAL_CLUSTER_LINES = 11_000;

/** Folders that may have more files, each with its reason. */
const LARGE_FOLDERS: ReadonlyMap<string, string> = new Map([
  ['test/cluster', 'the files of one run on a real cluster, in the order of their numbers'],
  ['test/scaler/promql', 'one file for each chapter of the language'],
]);

let graph: ImportGraph;

before(async () => {
  graph = await readImports(ROOT, PARTS);
});

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const lineCount = (path: string): number => read(path).trimEnd().split('\n').length;

function roomOf(path: string): string | undefined {
  return [...ROOMS.keys()].find((room) => path.startsWith(`${room}/`));
}

function partOf(path: string): string {
  return PARTS.find((part) => path.startsWith(`${part}/`)) ?? '';
}

/** All folders below, the given ones included. */
function foldersOf(tops: readonly string[]): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(ROOT, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
      .flatMap(({ name }) => [`${folder}/${name}`, ...below(`${folder}/${name}`)]);
  return tops.flatMap((top) => [top, ...below(top)]);
}

function filesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

describe('rooms: the table is the house', () => {
  it('each folder of a part is a room of the table, and the other way round', () => {
    const folders = PARTS.flatMap((part) =>
      readdirSync(join(ROOT, part), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => `${part}/${name}`),
    );
    assert.deepEqual(folders.toSorted(), [...ROOMS.keys()].toSorted());
  });

  it('beside the rooms stands only what puts a part together', () => {
    for (const part of PARTS) {
      const loose = filesIn(part).filter((name) => name.endsWith('.ts'));
      const named = (COMPOSITION[part] ?? '').split(' ').filter((name) => name !== '');
      assert.deepEqual(loose.toSorted(), named.toSorted(), part);
    }
  });

  it('the first file of each room says what comes in and what goes out', () => {
    for (const [room, { face }] of ROOMS) {
      const head = /^\/\*\*[\s\S]*?\*\//.exec(read(face))?.[0] ?? '';
      assert.match(head, /Comes in:/, `${face}: head comment of ${room}`);
      assert.match(head, /Goes out:/, `${face}: head comment of ${room}`);
    }
  });

  it('a room imports only the rooms of its part that the table names', () => {
    const wrong: string[] = [];
    for (const [file, targets] of graph.mentions) {
      const room = roomOf(file);
      if (room === undefined) continue;
      for (const target of targets) {
        const other = roomOf(target);
        if (other === undefined || other === room || partOf(other) !== partOf(room)) continue;
        if (!ROOMS.get(room)?.uses.includes(other)) wrong.push(`${file} → ${target}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('a room is named as used only where an import uses it', () => {
    const used = new Set<string>();
    for (const [file, targets] of graph.mentions)
      for (const target of targets) used.add(`${roomOf(file)} → ${roomOf(target)}`);
    const stale = [...ROOMS].flatMap(([room, { uses }]) =>
      uses.map((other) => `${room} → ${other}`).filter((edge) => !used.has(edge)),
    );
    assert.deepEqual(stale, [], 'take these out of docs/rooms/');
  });

  it('a room never imports what puts its part together', () => {
    const TOGETHER = /^[^/]+\/(start|servers|parts|proxy-state)\.ts$/;
    const wrong = [...graph.mentions].flatMap(([file, targets]) =>
      targets
        .filter((target) => roomOf(file) && partOf(target) === partOf(file) && TOGETHER.test(target))
        .map((target) => `${file} → ${target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('what puts a part together is read from top to bottom: nothing is assigned late or used before it is made', () => {
    const rule = lintRules.overrides.find(({ rules }) => 'no-use-before-define' in rules);
    const files = rule?.files ?? [];
    assert.deepEqual(
      Object.keys(COMPOSITION).filter((part) => part !== 'cli' && !files.includes(`${part}/start.ts`)),
      [],
    );
    assert.deepEqual(
      files.filter((file) => /^ *let /m.test(read(file))),
      [],
    );
  });

  it('the table in docs/internals/architecture.md is the one that `npm run docs` writes', () => {
    const page = read('docs/internals/architecture.md');
    assert.equal(page, withRooms(page));
  });
});

describe('rooms: imports make no circle', () => {
  it('types included, in every part and in the local cluster', () => {
    assert.deepEqual(circles(graph.mentions), []);
  });

  it('nor do the rooms of a part: what one uses does not use it', () => {
    const uses = new Map(
      [...ROOMS].filter(([room]) => FORWARD.has(partOf(room))).map(([room, { uses }]) => [room, uses]),
    );
    assert.ok(uses.size > 30);
    assert.deepEqual(circles(uses), []);
  });

  it('a circle is found', () => {
    const small = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', ['a']],
      ['d', []],
    ]);
    assert.deepEqual(circles(small), [['a', 'b', 'c']]);
  });
});

describe('rooms: nothing is too big', () => {
  it(`no file has more than ${LINES_PER_FILE} lines`, () => {
    assert.deepEqual(
      [...graph.mentions.keys()].filter((file) => lineCount(file) > LINES_PER_FILE),
      [],
    );
  });

  it('no function has more than 60 lines: the linter counts them', () => {
    const rule = lintRules.overrides.find(({ rules }) => 'max-lines-per-function' in rules);
    assert.deepEqual(rule?.files.toSorted(), PARTS.map((part) => `${part}/**`).toSorted());
    const [level, options] = (rule?.rules['max-lines-per-function'] ?? []) as [string?, { max: number }?];
    assert.deepEqual([level, options?.max], ['error', 60]);
  });

  it(`half of the files have at most ${MEDIAN_LINES} lines, nine in ten functions at most ${P90_LINES}`, async (t) => {
    const product = PARTS.filter((part) => part !== 'packages/local-cluster');
    const files = [...graph.mentions.keys()].filter((file) => product.includes(partOf(file)));
    const lines = files.map(lineCount).toSorted((a, b) => a - b);
    const functions = await functionLengths(ROOT, product);
    assert.ok(functions.length > files.length && functions.every(Number.isSafeInteger));
    const median = lines[Math.floor(lines.length / 2)] ?? 0;
    const p90 = functions[Math.floor(functions.length * 0.9)] ?? 0;
    t.diagnostic(`${files.length} files, median ${median} lines; ${functions.length} functions, p90 ${p90}`);
    assert.ok(median <= MEDIAN_LINES, `the median file has ${median} lines`);
    assert.ok(p90 <= P90_LINES, `nine in ten functions have at most ${p90} lines`);
  });

  it(`no folder has more than ${FILES_PER_FOLDER} files`, () => {
    const large = foldersOf([...PARTS, 'test']).filter((folder) => filesIn(folder).length > FILES_PER_FOLDER);
    assert.deepEqual(large.toSorted(), [...LARGE_FOLDERS.keys()].toSorted());
  });
});

describe('rooms: nothing is there for nobody', () => {
  const texts = new Map<string, string>();

  before(() => {
    for (const folder of foldersOf([...PARTS, 'manifests', 'test', 'bench', 'docs']))
      for (const name of filesIn(folder))
        if (/\.m?ts$|\.mjs$/.test(name)) texts.set(`${folder}/${name}`, read(`${folder}/${name}`));
  });
  const isProduct = (path: string): boolean => partOf(path) !== '';

  it('a value is exported for a file that names it', () => {
    assert.deepEqual(unusedExports(texts, isProduct), []);
  });

  it('a member of a class is named somewhere', () => {
    assert.deepEqual(unusedMembers(texts, isProduct), []);
  });

  it('an exported name means one thing in the whole house', () => {
    assert.deepEqual(sharedNames(texts, isProduct), []);
  });

  it('a named number has one value in the whole house', () => {
    assert.deepEqual(constantsWithManyValues(texts, isProduct), []);
  });

  it('all of them are found', () => {
    const small = new Map([
      [
        'a.ts',
        'export const used = 1;\nexport function alone() {}\nexport class C {\n  get lost() {\n    return 1;\n  }\n  #gone = 1;\n}\n',
      ],
      ['b.ts', "import { used, C } from './a.ts';\nnew C(used);\n"],
    ]);
    assert.deepEqual(
      unusedExports(small, () => true),
      ['a.ts: alone'],
    );
    assert.deepEqual(
      unusedMembers(small, () => true),
      ['a.ts: lost', 'a.ts: #gone'],
    );
    const twice = new Map([
      ['a.ts', 'export interface Place {}\nexport const one = 1;\n'],
      ['b.ts', 'export class Place {}\n/** export const one = 2; */\n'],
    ]);
    assert.deepEqual(
      sharedNames(twice, () => true),
      ['Place: a.ts, b.ts'],
    );
    const two = new Map([
      ['a.ts', 'const LOOK_MS = 5_000;\nconst SAME = 2 * 1024;\n'],
      ['b.ts', 'export const LOOK_MS = 250;\nconst SAME = 2 * 1024;\n'],
    ]);
    assert.deepEqual(
      constantsWithManyValues(two, () => true),
      ['LOOK_MS: 5_000, 250'],
    );
  });
});

describe('rooms: the local cluster is a package of its own', () => {
  const PACKAGE = 'packages/local-cluster';

  it('the command line alone imports it, through one file', () => {
    const users = [...graph.mentions]
      .filter(([file, targets]) => partOf(file) !== PACKAGE && targets.some((t) => t.startsWith('packages/')))
      .map(([file]) => file);
    assert.deepEqual(users, ['cli/local.ts']);
  });

  it(`it has at most ${LOCAL_CLUSTER_LINES} lines`, () => {
    const files = [...graph.mentions.keys()].filter((file) => partOf(file) === PACKAGE);
    const lines = files.reduce((sum, file) => sum + lineCount(file), 0);
    assert.ok(lines > 1_000 && lines <= LOCAL_CLUSTER_LINES, `${lines} lines`);
  });

  it('its README names its face', () => {
    assert.match(read(`${PACKAGE}/README.md`), /start\.ts/);
    assert.ok(existsSync(join(ROOT, dirname(`${PACKAGE}/start.ts`))));
  });
});
