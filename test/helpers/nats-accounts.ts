/** A server's configuration with our accounts and static users: what the user JWTs say in a cluster. */
import type { NatsIdentity } from '../../common/identity/identity.ts';
import { createNkey, type Nkey } from '../../common/identity/nkey.ts';
import { natsLogin, type NatsLogin } from '../../common/bus/login.ts';
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
  /** Who has it is the user, as with a JWT; undefined: who knows the password is. */
  readonly key?: Nkey;
}

export const userKey = (): Nkey => createNkey('user');

/** For openNatsLink: a user with a key, on a server without TLS. */
export function keyLogin({ publicKey, sign }: Nkey): NatsLogin {
  const identity: NatsIdentity = {
    current: undefined,
    valid: async () => undefined,
    sign: (nonce) => ({
      jwt: '',
      nkey: publicKey,
      sig: sign(Buffer.from(nonce)).toString('base64url'),
    }),
    renew: () => undefined,
    onRenewed: () => () => undefined,
    stop: async () => undefined,
  };
  return natsLogin('permissive', identity);
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

function importOf({ kind, subject, localSubject }: AccountRule, from: string): string {
  const to = localSubject === undefined ? '' : `, to: ${JSON.stringify(localSubject)}`;
  return `{ ${kind}: { account: ${from}, subject: ${JSON.stringify(subject)} }${to} }`;
}

function userOf({ user, permissions, key }: StaticUser): string {
  const who = key ? `nkey: ${key.publicKey}` : `user: ${JSON.stringify(user)}, password: secret`;
  if (!permissions) return `{ ${who} }`;
  const { publish, subscribe, responses } = permissions;
  const answers = responses
    ? `, allow_responses: { max: ${responses.max}, expires: "${responses.ttlMs}ms" }`
    : '';
  return `{ ${who}, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)}${answers} } }`;
}
