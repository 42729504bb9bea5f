/**
 * One command with flags from a table: its help, its refusal of unknown flags, and what it runs.
 *
 * Room `cli/parts`: Commands that start a part.
 * Comes in: argv, environment.
 * Goes out: a running part.
 */
import type { Argv } from 'yargs';
import { UsageError } from '../../common/runtime/errors.ts';
import type { FlagTable } from '../../common/runtime/flags.ts';
import { withFlags, type Parsed } from './flag-options.ts';

export function part(
  parser: Argv,
  command: string,
  describe: string,
  table: FlagTable,
  run: (argv: Parsed) => unknown,
): void {
  parser.command(
    command,
    describe,
    (sub: Argv) => withFlags(sub, table),
    async (argv) => {
      refuseUnknown(argv, table, command);
      await run(argv);
    },
  );
}

const OF_YARGS = ['_', '$0', 'help', 'h', 'version'];

/** @throws UsageError naming the unknown flag and those there are */
function refuseUnknown(argv: Parsed, table: FlagTable, command: string): void {
  const positionals = [...command.matchAll(/[<[](\w+)[>\]]/g)].map((match) => match[1]);
  const aliases = Object.values(table).flatMap(({ alias = [] }) => alias);
  const known = new Set([...Object.keys(table), ...aliases, ...positionals, ...OF_YARGS]);
  const unknown = Object.keys(argv).find((name) => !known.has(name));
  const allowed = Object.keys(table).map((name) => `--${name}`);
  if (unknown !== undefined) throw new UsageError(`unknown flag --${unknown}; allowed: ${allowed.join(' ')}`);
}
