/** A server's configuration with our accounts and static users: what the user JWTs say in a cluster. */
import {
  ACCOUNTS,
  type AccountRule,
  type BusAccount,
  type BusPermissions,
} from '../../common/bus/permissions.ts';

export interface StaticUser {
  readonly account: keyof typeof ACCOUNTS;
  readonly user: string;
  /** undefined: everything. */
  readonly permissions: BusPermissions | undefined;
}

/** The part of a configuration file; each user's password is `secret`. */
export function accountsConfig(users: readonly StaticUser[]): string {
  const core = accountOf(
    ACCOUNTS.core,
    'FUNCTIONS',
    users.filter(({ account }) => account === 'core'),
  );
  const functions = accountOf(
    ACCOUNTS.functions,
    'CORE',
    users.filter(({ account }) => account === 'functions'),
  );
  return `accounts {\n${core}\n${functions}\n}\n`;
}

function accountOf(account: BusAccount, other: string, users: readonly StaticUser[]): string {
  return [
    `${account.name} {`,
    ...(account.hasJetStream ? ['  jetstream: enabled'] : []),
    `  users = [ ${users.map(userOf).join(',\n')} ]`,
    `  exports = [ ${account.exports.map(exportOf).join(',\n')} ]`,
    `  imports = [ ${account.imports.map((rule) => importOf(rule, other)).join(',\n')} ]`,
    '}',
  ].join('\n');
}

function exportOf({ kind, subject, responseType }: AccountRule): string {
  const type = responseType ? `, response_type: ${responseType}` : '';
  return `{ ${kind}: ${JSON.stringify(subject)}${type} }`;
}

function importOf({ kind, subject }: AccountRule, from: string): string {
  return `{ ${kind}: { account: ${from}, subject: ${JSON.stringify(subject)} } }`;
}

function userOf({ user, permissions }: StaticUser): string {
  const who = `user: ${JSON.stringify(user)}, password: secret`;
  if (!permissions) return `{ ${who} }`;
  const { publish, subscribe, responses } = permissions;
  const answers = responses
    ? `, allow_responses: { max: ${responses.max}, expires: "${responses.ttlMs}ms" }`
    : '';
  return `{ ${who}, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)}${answers} } }`;
}
