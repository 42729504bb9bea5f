/** Docs and comments are in short sentences of usual words. A failure names the page and its longest sentences. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  averageWords,
  commentsOf,
  sentencesOfPage,
  sentencesOfSource,
  type Sentence,
} from './helpers/prose.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Words a sentence, on average. */
const MAX_OF_ALL = 18;
const MAX_OF_A_PAGE = 20;
/** Fewer sentences make no average: a file with one comment may need a longer one. */
const FEWEST_SENTENCES = 4;
const MAX_OF_A_SENTENCE = 40;

/** Words of this house that no reader would look for, and pronouns that make a program a person. */
const BANNED =
  /\b(?:for ever|anew|lest|but for|word of|what of the|he|him|his|himself|she|her|herself|news|goodbye|guests?|desk|without a word|(?:first|last) word|(?:nobody|somebody|other)(?:'s)? hands)\b|['’]s? (?:own )?word\b/i;
/** The same in names: they say what a thing is in the field's terms. */
const BANNED_IN_NAMES =
  /(?<![a-z])(?:news|goodbye|guests?|desk|voice|said|seen)(?![a-z])|(?:News|Goodbye|Guest|Desk|Voice|Said|Seen)(?![a-z])/;

interface Text {
  readonly path: string;
  readonly sentences: readonly Sentence[];
  /** As it is written, without code. */
  readonly prose: readonly string[];
}

const pages = [...readdirSync(root).filter((name) => name.endsWith('.md')), ...filesIn('docs', '.md')].map(
  (path): Text => {
    const sentences = sentencesOfPage(read(path));
    return { path, sentences, prose: sentences.map(({ text }) => text) };
  },
);
const sources = [
  'proxy',
  'sidecar',
  'scaler',
  'webhook',
  'common',
  'cli',
  'packages',
  'manifests',
  'docs',
  'bench',
]
  .flatMap((folder) => filesIn(folder, '.ts'))
  .map((path): Text => {
    const source = read(path);
    return { path, sentences: sentencesOfSource(source), prose: commentsOf(source) };
  });

describe('names', () => {
  it('have no house words', () => {
    const found = sources.flatMap(({ path }) =>
      [...new Set(codeOnly(read(path)).match(/[\w$]+/g))]
        .filter((name) => BANNED_IN_NAMES.test(name))
        .map((name) => `${path}: ${name}`),
    );
    assert.deepEqual(found, []);
  });
});

describe('prose', () => {
  it('finds pages and comments', () => {
    assert.ok(pages.length > 30);
    assert.ok(sources.flatMap(({ sentences }) => sentences).length > 3_000);
  });
  for (const [what, texts] of Object.entries({ pages, sources })) {
    it(`of all ${what}: at most ${MAX_OF_ALL} words a sentence`, () => {
      const average = averageWords(texts.flatMap(({ sentences }) => sentences));
      assert.ok(average <= MAX_OF_ALL, `${average.toFixed(1)} words a sentence`);
    });
    it(`of each of the ${what}: at most ${MAX_OF_A_PAGE} words a sentence`, () => {
      assert.deepEqual(texts.filter(isWordy).map(describeText), []);
    });
    it(`of the ${what}: no sentence of more than ${MAX_OF_A_SENTENCE} words`, () => {
      const long = texts.flatMap(({ path, sentences }) =>
        sentences.filter(({ words }) => words > MAX_OF_A_SENTENCE).map(({ text }) => `${path}: ${text}`),
      );
      assert.deepEqual(long, []);
    });
    it(`of the ${what}: usual words, and programs are "it"`, () => {
      const found = texts.flatMap(({ path, prose }) =>
        prose
          .filter((text) => BANNED.test(withoutCode(text)))
          .map((text) => `${path}: ${BANNED.exec(text)?.[0]}: ${text}`),
      );
      assert.deepEqual(found, []);
    });
  }
});

describe('comments', () => {
  it('say what a thing is: none begins with "Of"', () => {
    const found = sources.flatMap(({ path, prose }) =>
      prose.filter((text) => /^\s*Of\b/.test(text)).map((text) => `${path}: ${text}`),
    );
    assert.deepEqual(found, []);
  });
});

function isWordy({ sentences }: Text): boolean {
  return sentences.length >= FEWEST_SENTENCES && averageWords(sentences) > MAX_OF_A_PAGE;
}

function describeText({ path, sentences }: Text): string {
  const longest = sentences.toSorted((a, b) => b.words - a.words).slice(0, 3);
  return `${path}: ${averageWords(sentences).toFixed(1)}; ${longest.map(({ text }) => text).join(' / ')}`;
}

function withoutCode(text: string): string {
  return text.replace(/`[^`]*`/g, '');
}

/** Without comments and texts. */
function codeOnly(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '')
    .replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, '');
}

function filesIn(folder: string, extension: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(folder, name));
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}
