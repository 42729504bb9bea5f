/**
 * Flags as data, one table per part. People get them through yargs (help, groups, suggestions). The sidecar cannot
 * afford to load yargs and uses the plain parser below. Both end in {@link checkFlag}, so that a value means the same
 * whoever read it. Precedence: command line, then `SLIMFAAS_<FLAG>`, then the default.
 */
import { UsageError } from './errors.ts';

interface FlagBase {
  /** One letter, for commands that people type. */
  readonly alias?: string;
  readonly describe: string;
  readonly group: string;
}

export type Flag =
  | (FlagBase & {
      readonly type: 'string';
      readonly default: string;
      readonly choices?: readonly string[];
      /** For what is neither a choice nor free text; `allowed` finishes the sentence "use …". */
      readonly form?: { readonly fits: (text: string) => boolean; readonly allowed: string };
    })
  | (FlagBase & {
      readonly type: 'int' | 'number';
      readonly default: number;
      readonly min?: number;
      readonly max?: number;
    })
  | (FlagBase & { readonly type: 'boolean'; readonly default: boolean })
  /** Comma separated on the command line and in the environment. */
  | (FlagBase & { readonly type: 'list'; readonly default: readonly string[] });

export type FlagTable = Readonly<Record<string, Flag>>;

export type FlagValue<F extends Flag> = F['type'] extends 'string'
  ? string
  : F['type'] extends 'int' | 'number'
    ? number
    : F['type'] extends 'boolean'
      ? boolean
      : readonly string[];

/** The frozen configuration that a table yields; keys are the flags' own kebab-case names. */
export type FlagValues<T extends FlagTable> = { readonly [K in keyof T]: FlagValue<T[K]> };

/** `metrics-port` → `SLIMFAAS_METRICS_PORT`. */
export function envName(flag: string): string {
  return `SLIMFAAS_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Turns the text of one flag into its value.
 * @param origin how to name the source in an error: `--tick` or `SLIMFAAS_TICK`
 * @throws UsageError naming flag, value and what is allowed
 */
export function checkFlag(
  origin: string,
  flag: Flag,
  text: string,
): string | number | boolean | readonly string[] {
  switch (flag.type) {
    case 'string':
      if (flag.choices && !flag.choices.includes(text))
        throw bad(origin, text, `one of ${flag.choices.join(', ')}`);
      if (flag.form && !flag.form.fits(text)) throw bad(origin, text, flag.form.allowed);
      return text;
    case 'boolean':
      if (text !== 'true' && text !== 'false') throw bad(origin, text, 'true or false');
      return text === 'true';
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'int':
    case 'number': {
      const value = Number(text);
      const isOfType = flag.type === 'int' ? Number.isSafeInteger(value) : Number.isFinite(value);
      const inRange = value >= (flag.min ?? -Infinity) && value <= (flag.max ?? Infinity);
      if (text.trim() === '' || !isOfType || !inRange) throw bad(origin, text, rangeText(flag));
      return value;
    }
  }
}

/**
 * Reads `argv` (`--flag value`, `--flag=value`, `--flag` for a boolean) and `env` by a table.
 * @throws UsageError for an unknown flag, a bad value or a stray word
 */
export function readFlags<T extends FlagTable>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): FlagValues<T> {
  const given = splitArgv(table, argv);
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(table)) {
    const text = given.get(name);
    const fromEnv = valueFromEnv(name, flag, env);
    if (text !== undefined) values[name] = checkFlag(`--${name}`, flag, text);
    else if (fromEnv !== undefined) values[name] = checkFlag(envName(name), flag, fromEnv);
    else values[name] = flag.default;
  }
  return Object.freeze(values) as FlagValues<T>;
}

/**
 * Undefined where it is not set or blank. Beside a Service of the name `slimfaas` Kubernetes puts
 * `SLIMFAAS_PORT=tcp://10.96.0.1:5000` into every pod of the namespace: no number is written so, and nobody meant it.
 */
export function valueFromEnv(
  name: string,
  flag: Flag,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const text = env[envName(name)];
  const isOfService = flag.type === 'int' && text !== undefined && /^(tcp|udp|sctp):\/\//.test(text);
  return text === '' || isOfService ? undefined : text;
}

function splitArgv(table: FlagTable, argv: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    const match = /^--([a-z][a-z0-9-]*)(?:=([\s\S]*))?$/.exec(word);
    const name = match?.[1];
    if (name === undefined)
      throw new UsageError(`unexpected argument ${JSON.stringify(word)}; flags look like --name value`);
    const flag = table[name];
    if (!flag)
      throw new UsageError(
        `unknown flag --${name}; allowed: ${Object.keys(table)
          .map((n) => `--${n}`)
          .join(' ')}`,
      );
    if (match?.[2] !== undefined) given.set(name, match[2]);
    else if (flag.type === 'boolean') given.set(name, 'true');
    else {
      const value = argv[++i];
      if (value === undefined) throw new UsageError(`--${name} needs a value: ${allowed(flag)}`);
      given.set(name, value);
    }
  }
  return given;
}

function allowed(flag: Flag): string {
  if (flag.type === 'int' || flag.type === 'number') return rangeText(flag);
  if (flag.type === 'string' && flag.choices) return `one of ${flag.choices.join(', ')}`;
  return flag.type === 'string' && flag.form ? flag.form.allowed : flag.type;
}

function rangeText(flag: { type: 'int' | 'number'; min?: number; max?: number }): string {
  const kind = flag.type === 'int' ? 'a whole number' : 'a number';
  if (flag.min !== undefined && flag.max !== undefined) return `${kind} from ${flag.min} to ${flag.max}`;
  if (flag.min !== undefined) return `${kind} ≥ ${flag.min}`;
  return flag.max === undefined ? kind : `${kind} ≤ ${flag.max}`;
}

function bad(origin: string, text: string, allowedText: string): UsageError {
  return new UsageError(`${origin}: ${JSON.stringify(text)} is not allowed; use ${allowedText}`);
}
