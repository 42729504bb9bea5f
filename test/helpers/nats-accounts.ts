/** A server's configuration with our accounts and static users: what the user JWTs say in a cluster. */
import type { NatsIdentity } from '../../common/identity/identity.ts';
import { createNkey, type Nkey } from '../../common/identity/nkey.ts';
import { natsLogin, type NatsLogin } from '../../common/bus/login.ts';
import { accountText, permissionsText } from '../../cli/parts/nats-accounts.ts';
import { ACCOUNTS, type BusPermissions } from '../../common/bus/permissions.ts';

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
    sign: (nonce) =>
      nonce === undefined
        ? undefined
        : { jwt: '', nkey: publicKey, sig: sign(Buffer.from(nonce)).toString('base64url') },
    renew: () => undefined,
    onRenewed: () => () => undefined,
    stop: async () => undefined,
  };
  return natsLogin('permissive', identity);
}

/** The part of a configuration file; each user's password is `secret`. */
export function accountsConfig(users: readonly StaticUser[]): string {
  const of = (name: StaticUser['account'], other: string): string => {
    const its = users.filter(({ account }) => account === name).map(userOf);
    return accountText(ACCOUNTS[name], other, its);
  };
  return `accounts {\n${of('core', 'FUNCTIONS')}\n${of('functions', 'CORE')}\n}\n`;
}

function userOf({ user, permissions, key }: StaticUser): string {
  const who = key ? `nkey: ${key.publicKey}` : `user: ${JSON.stringify(user)}, password: secret`;
  return permissions ? `{ ${who}, ${permissionsText(permissions)} }` : `{ ${who} }`;
}
