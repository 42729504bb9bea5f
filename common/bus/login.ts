/**
 * What a connection to NATS needs beside an address: TLS with our CA, and a JWT with the signature of its key. Both are
 * asked for at each connect, so that a connection lives on over new JWTs and a new CA.
 */
import type { ConnectionOptions } from 'nats';
import type { NatsCredentials, NatsIdentity } from '../identity/identity.ts';
import { sleep } from '../runtime/lifecycle.ts';
import { natsServers } from './nats-servers.ts';

/** - `permissive`: servers that ask nobody, and have no TLS, are fine too. */
export type NatsAuth = 'permissive' | 'required';

export interface NatsLogin {
  readonly auth: NatsAuth;
  readonly identity: NatsIdentity;
  /** Resolves when it makes sense to dial, or `signal` aborts. */
  ready(signal: AbortSignal): Promise<void>;
  /** What a server is shown. @param nonce undefined: it asks for no key @returns undefined without anything */
  show(nonce: string | undefined): NatsCredentials | undefined;
  /** The server believed what it was shown last. */
  believed(): void;
}

/** Where nobody may ask, an issuer that is away holds up nothing for longer. */
const PERMISSIVE_WAIT_MS = 2_000;

/** Dials by address and by name are two at once, and a slow server may let some of them end. */
const IN_VAIN = 5;

export function natsLogin(auth: NatsAuth, identity: NatsIdentity): NatsLogin {
  let inVain = 0;
  return {
    auth,
    identity,
    // The library tells the error of the last server alone, which may be that its name cannot be resolved. So what counts
    // here is how often a JWT was shown without a connection.
    show(nonce) {
      if (inVain >= IN_VAIN) identity.renew();
      inVain++;
      return identity.sign(nonce);
    },
    believed() {
      inVain = 0;
    },
    async ready(signal) {
      const over = new AbortController();
      const limitMs = auth === 'permissive' ? PERMISSIVE_WAIT_MS : 2 ** 31 - 1;
      await Promise.race([identity.valid(), sleep(limitMs, AbortSignal.any([signal, over.signal]))]);
      over.abort();
    },
  };
}

interface LoginTarget {
  readonly servers: string;
  readonly address?: string;
  readonly login?: NatsLogin | undefined;
}

/** @param withTls false: the server was found to have none */
export function loginOptions({ servers, address, login }: LoginTarget, withTls: boolean): ConnectionOptions {
  if (!login) return needsTls(servers) ? { tls: {} } : {};
  const { identity } = login;
  const { named, atHand } = natsServers(servers, address);
  const tls = {
    get ca() {
      const { ca, natsCa = ca } = identity.current ?? {};
      return natsCa === '' ? undefined : natsCa;
    },
    // The certificate has the first name and no address, so that name is the one to check.
    ...(atHand && named[0] !== undefined ? { servername: hostOf(named[0]) } : {}),
  };
  return {
    authenticator: (nonce) => login.show(nonce),
    // Without TLS this connection is one for the time being: its end is the moment to look for a server that has it.
    ...(withTls ? { tls: tls as NonNullable<ConnectionOptions['tls']> } : { tls: null, reconnect: false }),
  };
}

/** Each address says so itself, as `tls://`. */
function needsTls(servers: string): boolean {
  return servers.split(',').every((server) => server.trim().startsWith('tls://'));
}

function hostOf(server: string): string {
  return new URL(server.includes('://') ? server : `nats://${server}`).hostname;
}

/** @param error of a try with TLS: whether one without it is worth while */
export function mayLackTls({ login, servers }: LoginTarget, error: unknown): boolean {
  return login?.auth === 'permissive' && !needsTls(servers) && codeOf(error) === 'SERVER_OPT_NA';
}

const REFUSALS = new Set(['AUTHORIZATION_VIOLATION', 'AUTHENTICATION_EXPIRED', 'ACCOUNT_EXPIRED']);

export function isRefusal(error: unknown): boolean {
  return REFUSALS.has(codeOf(error) ?? '');
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
