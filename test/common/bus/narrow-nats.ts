/** A server whose users have what the identities of a cluster have, and no more; it writes down what it refuses. */
import { readFile, rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsLogin } from '../../../common/bus/login.ts';
import type { NatsLinkOptions } from '../../../common/bus/nats.ts';
import {
  inboxPrefix,
  rolePermissions,
  sidecarPermissions,
  type SidecarIdentity,
} from '../../../common/bus/permissions.ts';
import type { NatsCredentials } from '../../../common/identity/identity.ts';
import { createNkey } from '../../../common/identity/nkey.ts';
import { accountsConfig } from '../../helpers/nats-accounts.ts';
import type { NatsOptions } from '../../helpers/nats.ts';

export interface NarrowNats {
  readonly options: NatsOptions;
  /** Of a link that may do everything. */
  readonly admin: Partial<NatsLinkOptions>;
  readonly proxy: Partial<NatsLinkOptions>;
  sidecar(identity: SidecarIdentity): Partial<NatsLinkOptions>;
  /** What the server refused so far. */
  refused(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function narrowNats(
  sidecars: readonly SidecarIdentity[],
  options: NatsOptions = {},
): Promise<NarrowNats> {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-narrow-'));
  const logFile = join(dir, 'nats.log');
  const users = accountsConfig([
    { account: 'core', user: 'admin', permissions: undefined },
    { account: 'core', user: 'proxy', permissions: rolePermissions('proxy') },
    { account: 'core', user: 'scaler', permissions: rolePermissions('scaler') },
    ...sidecars.map((identity) => ({
      account: 'functions' as const,
      user: identity.pod,
      permissions: sidecarPermissions(identity),
    })),
  ]);
  const config = `log_file: "${logFile}"\n${users.replace('users = [', `users = [ { nkey: ${anyKey()} },`)}`;
  return {
    options: { ...options, config },
    admin: loginOf('admin'),
    proxy: loginOf('proxy', inboxPrefix({ role: 'proxy', pod: 'proxy' })),
    sidecar: (identity) => loginOf(identity.pod, inboxPrefix({ role: 'sidecar', ...identity })),
    async refused() {
      const lines = (await readFile(logFile, 'utf8')).split('\n');
      return lines.filter((line) => /violation/i.test(line));
    },
    stop: () => rm(dir, { recursive: true, force: true }),
  };
}

/** With a user of that kind the server begins with a question, as one with JWTs does. */
function anyKey(): string {
  return createNkey('user').publicKey;
}

function loginOf(user: string, inbox?: string): Partial<NatsLinkOptions> {
  const identity = {
    current: undefined,
    valid: async () => undefined,
    sign: () => ({ user, pass: 'secret' }) as unknown as NatsCredentials,
    renew: () => undefined,
    onRenewed: () => () => undefined,
    stop: async () => undefined,
  };
  // This server has no TLS.
  const login = natsLogin('permissive', identity);
  return { login, ...(inbox === undefined ? {} : { inboxPrefix: inbox }) };
}
