/**
 * `slimfaas nats-accounts`: what a NATS server that is not ours is told so that it gives each role its rights: two accounts
 * and three users, as a part of its configuration. All but the printing is pure.
 */
import {
  ACCOUNTS,
  anySidecarPermissions,
  rolePermissions,
  type AccountRule,
  type BusAccount,
  type BusPermissions,
} from '../../common/bus/permissions.ts';

export function printNatsAccounts(): void {
  console.log(natsAccounts());
}

/** Passwords come from the server's environment: `SLIMFAAS_PROXY_PASSWORD` and so on. */
export function natsAccounts(): string {
  const { core, functions } = ACCOUNTS;
  const user = (role: 'proxy' | 'scaler' | 'sidecar', permissions: BusPermissions): string =>
    `{ user: slimfaas-${role}, password: $SLIMFAAS_${role.toUpperCase()}_PASSWORD, ${permissionsText(permissions)} }`;
  const users = {
    core: [user('proxy', rolePermissions('proxy')), user('scaler', rolePermissions('scaler'))],
    functions: [user('sidecar', anySidecarPermissions('of their own'))],
  };
  const texts = [
    accountText(core, functions.name, users.core),
    accountText(functions, core.name, users.functions),
  ];
  return `accounts {\n${texts.join('\n')}\n}`;
}

/** @param other the account from which it imports @param users each as the configuration has it */
export function accountText(account: BusAccount, other: string, users: readonly string[]): string {
  const list = (name: string, items: readonly string[]): string =>
    `  ${name} = [\n${items.map((item) => `    ${item}`).join(',\n')}\n  ]`;
  return [
    `${account.name} {`,
    ...(account.hasJetStream ? ['  jetstream: enabled'] : []),
    list('users', users),
    list('exports', account.exports.map(exportText)),
    list(
      'imports',
      account.imports.map((rule) => importText(rule, other)),
    ),
    '}',
  ].join('\n');
}

export function permissionsText({ publish, subscribe, responses }: BusPermissions): string {
  const answers = responses
    ? `, allow_responses: { max: ${responses.max}, expires: "${responses.ttlMs}ms" }`
    : '';
  return `permissions: { publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)}${answers} }`;
}

function exportText({ kind, subject, responseType }: AccountRule): string {
  const type = responseType ? `, response_type: ${responseType}` : '';
  return `{ ${kind}: ${JSON.stringify(subject)}${type} }`;
}

function importText({ kind, subject, localSubject }: AccountRule, from: string): string {
  const to = localSubject === undefined ? '' : `, to: ${JSON.stringify(localSubject)}`;
  return `{ ${kind}: { account: ${from}, subject: ${JSON.stringify(subject)} }${to} }`;
}
