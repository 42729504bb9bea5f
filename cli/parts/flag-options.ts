/**
 * A part's FlagTable as yargs options. It is yargs that gives help, groups and the refusal of unknown flags. Values
 * are read by {@link checkFlag} as for the sidecar. Its own `.env('SLIMFAAS')` is not used. Kubernetes puts
 * `SLIMFAAS_PROXY_PORT=tcp://…` and the like into every pod beside a Service of that name. Strict mode would take
 * these for unknown flags.
 */
import type { Argv, Options } from 'yargs';
import {
  checkFlag,
  envName,
  valueFromEnv,
  type Flag,
  type FlagTable,
  type FlagValues,
} from '../../common/runtime/flags.ts';

/** What yargs parsed, before {@link flagValues} completes it. */
export type Parsed = Readonly<Record<string, unknown>>;

export function withFlags<A>(yargs: Argv<A>, table: FlagTable): Argv<A> {
  for (const [name, flag] of Object.entries(table)) yargs.option(name, optionOf(name, flag));
  return yargs;
}

/** The frozen configuration from what yargs parsed, the environment and the defaults, in this order. */
export function flagValues<T extends FlagTable>(
  table: T,
  argv: Parsed,
  env: Readonly<Record<string, string | undefined>> = process.env,
): FlagValues<T> {
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(table)) {
    const fromEnv = valueFromEnv(name, flag, env);
    if (argv[name] !== undefined) values[name] = argv[name];
    else if (fromEnv !== undefined) values[name] = checkFlag(envName(name), flag, fromEnv);
    else values[name] = flag.default;
  }
  return Object.freeze(values) as FlagValues<T>;
}

function optionOf(name: string, flag: Flag): Options {
  const shown = Array.isArray(flag.default) ? flag.default.join(',') : String(flag.default);
  return {
    describe: `${flag.describe} [${envName(name)}]`,
    group: `${flag.group}:`,
    ...(flag.alias === undefined ? {} : { alias: flag.alias }),
    // Booleans are read by yargs, so that `--flag` needs no value; everything else is text for checkFlag.
    type: flag.type === 'boolean' ? 'boolean' : 'string',
    requiresArg: flag.type !== 'boolean',
    ...(flag.type === 'string' && flag.choices ? { choices: flag.choices } : {}),
    defaultDescription: shown === '' ? 'none' : shown,
    coerce: (value: unknown) => coerce(name, flag, value),
  };
}

function coerce(name: string, flag: Flag, value: unknown): unknown {
  if (value === undefined || typeof value === 'boolean') return value;
  // A flag given twice: the last one counts, as with most tools.
  const text = Array.isArray(value) ? value.at(-1) : value;
  return checkFlag(`--${name}`, flag, String(text));
}
