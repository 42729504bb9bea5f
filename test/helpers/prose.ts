/**
 * Sentences of pages and of comments, with their length in words. Code blocks, tables, pictures and URLs are no
 * sentences. Each item of a list and each heading-less paragraph is read for itself.
 */

export interface Sentence {
  readonly text: string;
  readonly words: number;
}

/** The sentences of a Markdown page. */
export function sentencesOfPage(markdown: string): Sentence[] {
  const lines = markdown
    .replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1\s*$/gm, '\n')
    .split('\n')
    .map((line) => (isNoProse(line) ? '' : line.replace(/^\s*(?:[-*]|\d+\.)\s+/, '\n')));
  return sentencesOf(withoutMarks(lines.join('\n')));
}

/** Headings, tables, pictures, and code that is indented by four spaces and belongs to no item of a list. */
function isNoProse(line: string): boolean {
  return /^(?:#+ |\||!\[| {4})/.test(line);
}

/** The sentences of the comments of a TypeScript file. Neighbouring line comments are one text. */
export function sentencesOfSource(source: string): Sentence[] {
  return commentsOf(source).flatMap((comment) => sentencesOf(withoutMarks(comment)));
}

/** The comments of a TypeScript file as plain text. Tags (`@param`) begin a paragraph of their own. */
export function commentsOf(source: string): string[] {
  const blocks = [...source.matchAll(/^[ \t]*\/\*\*?([\s\S]*?)\*\//gm)].map(([, body = '']) =>
    body.replace(/^[ \t]*\* ?/gm, ''),
  );
  const lines = [...source.matchAll(/(?:^[ \t]*\/\/ [^\n]*\n)+/gm)].map(([text]) =>
    text.replace(/^[ \t]*\/\/ /gm, ''),
  );
  const trailing = [...source.matchAll(/^[^\n'"`/]*[^\s'"`/][^\n'"`/]*\/\/ ([^\n]*)$/gm)].map(
    ([, text = '']) => text,
  );
  const texts = [...blocks, ...lines, ...trailing].filter(
    (text) => !/^\s*(?:oxlint|prettier|@ts)-/.test(text),
  );
  return texts.map((text) =>
    text
      .replace(/^( {2,}|\t)\S.*$/gm, '\n') // code or a picture inside a comment
      .replace(/^\s*(?:-|\d+\.)\s+/gm, '\n\n')
      .replace(/^@(?:param|returns?|throws)\s+(?:\{[^}]*\}\s*)?/gm, '\n\n'),
  );
}

/** Without links, code and URLs: each of them counts as one word. */
function withoutMarks(text: string): string {
  return text
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/``[^`]*``|`[^`]*`/g, 'code')
    .replace(/\{@link [^}]*\}/g, 'code')
    .replace(/https?:\/\/\S+/g, 'url')
    .replace(/\*\*|__/g, '');
}

function sentencesOf(text: string): Sentence[] {
  return text
    .split(/\n\s*\n/)
    .flatMap((paragraph) =>
      paragraph.replace(/\s+/g, ' ').split(/(?<=[.!?][)"’]?) (?=["(]?[\p{Lu}\p{N}]|code\b)/u),
    )
    .map((sentence) => ({ text: sentence.trim(), words: wordsIn(sentence) }))
    .filter(({ words }) => words > 0);
}

function wordsIn(text: string): number {
  return text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

/** The mean number of words; 0 without a sentence. */
export function averageWords(sentences: readonly Sentence[]): number {
  if (sentences.length === 0) return 0;
  return sentences.reduce((sum, { words }) => sum + words, 0) / sentences.length;
}
