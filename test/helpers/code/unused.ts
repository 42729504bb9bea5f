/**
 * What no other file names, found by names in the text: exported values and members of classes. Also what two files
 * export under one name. Simple on purpose:
 * a name that is used anywhere counts as used, so nothing is reported that is in use.
 */

const EXPORT = /^export (?:abstract |async )*(const|let|class|function\*?|interface|type) (\w+)/gm;
const MEMBER = /^ {2}(?:static |readonly |async |get |set )*\*?(#?\w+)(?:\(|<|\??: |!: | = |;)/gm;

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

interface Names {
  readonly texts: ReadonlyMap<string, string>;
  /** Files in which a name stands. */
  readonly filesOf: ReadonlyMap<string, ReadonlySet<string>>;
}

function namesOf(texts: ReadonlyMap<string, string>): Names {
  const stripped = new Map([...texts].map(([path, text]) => [path, withoutComments(text)]));
  const filesOf = new Map<string, Set<string>>();
  for (const [path, text] of stripped) {
    for (const word of new Set(text.match(/\w+/g))) {
      const files = filesOf.get(word);
      if (files) files.add(path);
      else filesOf.set(word, new Set([path]));
    }
  }
  return { texts: stripped, filesOf };
}

function isNamedElsewhere({ filesOf }: Names, name: string, path: string): boolean {
  return [...(filesOf.get(name) ?? [])].some((file) => file !== path);
}

function timesIn(text: string, name: string): number {
  const before = name.startsWith('#') ? '' : '(?<![\\w#])';
  return text.match(new RegExp(`${before}${name}(?!\\w)`, 'g'))?.length ?? 0;
}

/** Exported values that no other file names, and exported types that nothing names at all. */
export function unusedExports(
  texts: ReadonlyMap<string, string>,
  isChecked: (path: string) => boolean,
): string[] {
  const names = namesOf(texts);
  return [...names.texts].flatMap(([path, text]) => {
    if (!isChecked(path)) return [];
    const exported = [...text.matchAll(EXPORT)].map(([, kind = '', name = '']) => ({ kind, name }));
    return exported
      .filter(({ name }) => !isNamedElsewhere(names, name, path))
      .filter(({ kind, name }) => !/interface|type/.test(kind) || timesIn(text, name) < 2)
      .map(({ name }) => `${path}: ${name}`);
  });
}

/** Members of classes whose name stands nowhere else. */
export function unusedMembers(
  texts: ReadonlyMap<string, string>,
  isChecked: (path: string) => boolean,
): string[] {
  const names = namesOf(texts);
  return [...names.texts].flatMap(([path, text]) => {
    if (!isChecked(path)) return [];
    const bodies = [...text.matchAll(/^(?:export )?(?:abstract )?class [\s\S]*?^}/gm)].map(([body]) => body);
    const members = bodies.flatMap((body) => [...body.matchAll(MEMBER)].map(([, name = '']) => name));
    return [...new Set(members)]
      .filter((name) => name !== 'constructor' && timesIn(text, name) < 2)
      .filter((name) => name.startsWith('#') || !isNamedElsewhere(names, name, path))
      .map((name) => `${path}: ${name}`);
  });
}

/** Exported names that more than one file gives to something of its own, each with its files. */
export function sharedNames(
  texts: ReadonlyMap<string, string>,
  isChecked: (path: string) => boolean,
): string[] {
  const files = new Map<string, string[]>();
  for (const [path, text] of texts) {
    if (!isChecked(path)) continue;
    for (const [, , name = ''] of withoutComments(text).matchAll(EXPORT))
      files.set(name, [...(files.get(name) ?? []), path]);
  }
  return [...files]
    .filter(([, paths]) => new Set(paths).size > 1)
    .map(([name, paths]) => `${name}: ${paths.join(', ')}`);
}

/** Numbers with a name, `const NAME_MS = 5_000;`, that have another value in another file, each with its values. */
export function constantsWithManyValues(
  texts: ReadonlyMap<string, string>,
  isChecked: (path: string) => boolean,
): string[] {
  const values = new Map<string, Set<string>>();
  for (const [path, text] of texts) {
    if (!isChecked(path)) continue;
    for (const [, name = '', value = ''] of text.matchAll(
      /^(?:export )?const ([A-Z][A-Z0-9_]*) = ([\d_.][\d_.* ]*);/gm,
    ))
      values.set(name, (values.get(name) ?? new Set()).add(value));
  }
  return [...values]
    .filter(([, all]) => all.size > 1)
    .map(([name, all]) => `${name}: ${[...all].join(', ')}`);
}
