/** The page of flags, from the tables that the parts read. */
import {
  adminUrlFlags,
  callFlags,
  checkFlags,
  deadListFlags,
  functionFlags,
  jobShowFlags,
  queryCommandFlags,
  statusFlags,
} from '../cli/people-flags.ts';
import { envName, type Flag, type FlagTable } from '../common/runtime/flags.ts';
import { localFlags } from '../packages/local-cluster/flags.ts';
import { proxyFlags } from '../proxy/flags.ts';
import { scalerFlags } from '../scaler/flags.ts';
import { sidecarFlags } from '../common/function/sidecar-flags.ts';
import { webhookFlags } from '../webhook/flags.ts';

const COMMANDS: readonly (readonly [command: string, table: FlagTable])[] = [
  ['proxy', proxyFlags],
  ['scaler', scalerFlags],
  ['webhook', webhookFlags],
  ['sidecar', sidecarFlags],
  ['local', localFlags],
  ['status [function]', statusFlags],
  ['call <function> [path]', callFlags],
  ['wake <function>', functionFlags],
  ['query <promql>', queryCommandFlags],
  ['check', checkFlags],
  ['jobs show <function> <id>', jobShowFlags],
  ['jobs cancel <function> <id>', functionFlags],
  ['jobs dead list [function]', deadListFlags],
  ['jobs dead show|replay|drop <seq>', adminUrlFlags],
];

const HEAD = `# Flags

Written by \`npm run docs\` from the tables that the code reads. \`slimfaas COMMAND --help\` prints the same.

A flag is read from the command line first, then from its environment variable, then it has its default.
The variable of \`--metrics-port\` is \`${envName('metrics-port')}\`; all others follow the same rule.
In the chart, \`proxy.flags\`, \`scaler.flags\` and \`webhook.flags\` set the flags of a part.
The webhook sets the sidecar's flags: see [the sidecar's environment](../internals/architecture.md#what-is-in-the-sidecars-environment).
\`slimfaas inject --help\` lists what \`slimfaas inject\` takes.
`;

export function flagsPage(): string {
  return [HEAD, ...COMMANDS.map(([command, table]) => section(command, table))].join('\n');
}

function section(command: string, table: FlagTable): string {
  const rows = Object.entries(table).map(([name, flag]) =>
    row([`\`--${name}\``, valueOf(flag), defaultOf(flag), flag.describe]),
  );
  const head = ['| flag | value | default | meaning |', '|---|---|---|---|'];
  return [`## slimfaas ${command}`, '', ...head, ...rows, ''].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function valueOf(flag: Flag): string {
  if (flag.type === 'boolean') return 'true or false';
  if (flag.type === 'list') return 'list, separated by commas';
  if (flag.type === 'string') return flag.choices?.map((choice) => `\`${choice}\``).join(', ') ?? 'text';
  const kind = flag.type === 'int' ? 'whole number' : 'number';
  if (flag.min !== undefined && flag.max !== undefined) return `${kind}, ${flag.min} to ${flag.max}`;
  if (flag.min !== undefined) return `${kind} ≥ ${flag.min}`;
  return flag.max === undefined ? kind : `${kind} ≤ ${flag.max}`;
}

function defaultOf({ default: value }: Flag): string {
  const text = Array.isArray(value) ? value.join(',') : String(value);
  return text === '' ? 'none' : `\`${text}\``;
}
