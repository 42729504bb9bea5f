/** docs/reference/bus.md: who may say and hear what on NATS, from common/bus/permissions.ts. */
import { CLIENTS, matrixRows } from './bus-table.ts';
import { ACCOUNTS, ROLE_RULES, SIDECAR_RULES, type AccountRule } from '../common/bus/permissions.ts';

const HEAD = `# Who may do what on NATS

Written by \`npm run docs\` from \`common/bus/permissions.ts\`. The issuer takes each identity's rights from that file too. What
is not in these tables is refused. Why there are two accounts: [bus-accounts](../decisions/bus-accounts.md).

\`<jobs>\` is the consumer of the function's jobs, \`<events>\` the one of the pod's events. The server fills in nothing:
each pod has permissions of its own, and these name its namespace, its function and itself.
`;

const MATRIX = `## Every identity and every subject

\`test/webhook/issuer/table.test.ts\` tries each cell on a real server, with identities of the real exchange. A row is of one
pod's sidecar: \`<namespace>\`, \`<function>\`, \`<pod>\`, \`<jobs>\` and \`<events>\` are its own. The columns say who may publish
there, and who may subscribe to it. What is published with \`*\` or \`>\` in it is tried too.

Two values open all cells. With \`auth: permissive\` and \`off\` NATS asks nobody. With \`oldSidecars: true\` a sidecar of the
version before says and hears everything of \`CORE\`; without it, it is not let in.
`;

export function busPage(): string {
  const sidecar = SIDECAR_RULES.map(({ way, subject, why }) => row(way, subject, why));
  const roles = Object.entries(ROLE_RULES).map(([role, { publish, subscribe }]) =>
    table(`The ${role}`, [
      ...publish.map(([subject, why]) => row('publish', subject, why)),
      ...subscribe.map(([subject, why]) => row('subscribe', subject, why)),
    ]),
  );
  const { core } = ACCOUNTS;
  const crossing = [...core.exports.map(crossed('CORE')), ...core.imports.map(crossed('FUNCTIONS'))];
  return [
    HEAD,
    table('The sidecar of one pod', sidecar),
    ...roles,
    '## What passes between the accounts\n',
    'Proxies and scalers are in `CORE`, sidecars in `FUNCTIONS`, which has no JetStream.\n',
    '| offered by | kind | subject |\n|---|---|---|',
    `${crossing.join('\n')}\n`,
    MATRIX,
    `| subject | ${Object.keys(CLIENTS).join(' | ')} |\n|---|${'---|'.repeat(Object.keys(CLIENTS).length)}`,
    `${matrixRows().join('\n')}\n`,
  ].join('\n');
}

function table(title: string, rows: readonly string[]): string {
  return `## ${title}\n\n| may | subject | what for |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function row(way: string, subject: string, why: string): string {
  return `| ${way} | \`${subject}\` | ${why} |`;
}

function crossed(account: string): (rule: AccountRule) => string {
  return ({ kind, subject }) => `| ${account} | ${kind} | \`${subject}\`${shadowOf(subject)} |`;
}

/** Where the other account takes it under another name. */
function shadowOf(subject: string): string {
  const rule = ACCOUNTS.functions.imports.find((taken) => taken.subject === subject);
  return rule?.localSubject === undefined ? '' : `, there \`${rule.localSubject}\`: nobody listens`;
}
