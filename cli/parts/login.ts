/** Who a part is on NATS, by its flags. */
import { inboxPrefix, type BusClient } from '../../common/bus/permissions.ts';
import { natsLogin, type NatsLogin } from '../../common/bus/login.ts';
import { openIdentity } from '../../common/identity/identity.ts';
import type { FlagValues } from '../../common/runtime/flags.ts';
import type { identityFlags, partIdentityFlags } from '../../common/identity/flags.ts';
import type { Log } from '../../common/runtime/log.ts';

interface LoginOptions {
  readonly log: Log;
  readonly ca: () => Promise<string>;
  /** What a sidecar says of itself. */
  readonly of?: { readonly function: string; readonly grant: string };
  readonly after?: Promise<unknown>;
}

/** @returns undefined where nobody asks */
export function openLogin(
  config: FlagValues<typeof identityFlags>,
  { log, ca, of, after }: LoginOptions,
): NatsLogin | undefined {
  const { auth } = config;
  if (auth !== 'permissive' && auth !== 'required') return undefined;
  const identity = openIdentity({
    place: { url: config.issuer, address: config['issuer-address'] },
    ca,
    input: { tokenFile: config['token-file'], ...of },
    log,
    ...(after ? { after } : {}),
  });
  return natsLogin(auth, identity);
}

export function openPartLogin(config: FlagValues<typeof partIdentityFlags>, log: Log): NatsLogin | undefined {
  const ca = async () => {
    const { readFile } = await import('node:fs/promises');
    return readFile(config['issuer-ca-file'], 'utf8');
  };
  return openLogin(config, { log, ca });
}

/** Undefined where nobody knows who we are: then nobody can be kept from our answers. */
export function ownInbox(
  { auth }: Pick<FlagValues<typeof identityFlags>, 'auth'>,
  client: BusClient,
): string | undefined {
  return auth === 'off' ? undefined : inboxPrefix(client);
}
