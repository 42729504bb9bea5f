/**
 * The issuer as a whole: keeps keys and certificates in force, and answers exchanges once it has them. It lives in the
 * webhook's process: that runs twice already, and has the same keeper, CA and rights.
 */
import { createBackoff } from '../../common/runtime/backoff.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { sleep, type Running } from '../../common/runtime/lifecycle.ts';
import { answerExchange, readRequest, type Exchanged } from './exchange.ts';
import type { ExternalNats } from './external-nats.ts';
import { FollowedNats } from './followed-nats.ts';
import { createExchangeServer, type ExchangeServer } from './exchange-server.ts';
import { checkIdentity, type IssuerIdentity, type IdentityDeps } from './keep-identity.ts';
import { verifyToken, type TokenKeys } from './verify-token.ts';

export interface IssuerOptions extends IdentityDeps {
  readonly host: string;
  readonly port: number;
  /** Where slimfaas itself is. */
  readonly namespace: string;
  /** How long each JWT is good. */
  readonly lifeMs: number;
  readonly checkMs: number;
  readonly tokenKeys: TokenKeys;
  /** Sidecars of the version before get what they had there. */
  readonly allowsOldSidecars: boolean;
  /** Reads what is mounted of a NATS that is not ours; absent: NATS is the bundled one. */
  readonly readExternal?: () => Promise<ExternalNats>;
  /** Told at each look whether what is mounted can be used. */
  readonly onExternal?: (isUsable: boolean) => void;
  readonly onOutcome: (outcome: string) => void;
  /** A connection was closed for another one. */
  readonly onLimited: () => void;
}

export interface Issuer extends Running {
  /** undefined until it listens. */
  readonly port: number | undefined;
  /** What is in force; undefined until it was read or made. */
  readonly identity: IssuerIdentity | undefined;
}

/** Starts, and tries forever. */
export function startIssuer(options: IssuerOptions): Issuer {
  const stopping = new AbortController();
  let identity: IssuerIdentity | undefined;
  let server: ExchangeServer | undefined;
  const external = options.readExternal && new FollowedNats(options.readExternal, options);
  const take = async (next: IssuerIdentity): Promise<void> => {
    const isSame = identity?.pair.certificate === next.pair.certificate;
    identity = next;
    if (server) return isSame ? undefined : server.setCertificate(next.pair);
    const created = createExchangeServer(next.pair, {
      exchange: (body) =>
        exchange(body, options, () => ({ ...(identity as IssuerIdentity), external: external?.current })),
      onOutcome: options.onOutcome,
      onLimited: options.onLimited,
      log: options.log,
    });
    await created.listen(options.host, options.port);
    server = created;
    options.log.info({ port: created.port }, 'ready for exchanges');
  };
  const loop = keepForever(
    options,
    async (next) => {
      await take(next);
      await external?.look();
    },
    stopping.signal,
  );
  return {
    get port() {
      return server?.port;
    },
    get identity() {
      return server && identity;
    },
    async stop() {
      stopping.abort();
      await Promise.race([loop, sleep(1_000)]);
      await server?.stop();
    },
  };
}

async function keepForever(
  options: IssuerOptions,
  take: (identity: IssuerIdentity) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { checkMs, log } = options;
  const backoff = createBackoff({ minMs: Math.min(250, checkMs), maxMs: Math.max(checkMs, 250) });
  while (!signal.aborted) {
    let waitMs = checkMs;
    try {
      const identity = await checkIdentity(options);
      if (!signal.aborted) await take(identity);
      backoff.reset();
    } catch (error) {
      waitMs = backoff.next();
      log.warn({ error: describeError(error), retryInMs: Math.round(waitMs) }, 'identity check failed');
    }
    await sleep(waitMs, signal);
  }
}

async function exchange(
  body: string,
  { namespace, lifeMs, now, tokenKeys, allowsOldSidecars, log }: IssuerOptions,
  identity: () => IssuerIdentity & { readonly external: ExternalNats | undefined },
): Promise<Exchanged> {
  const request = readRequest(body);
  const pod = await verifyToken(request.token, tokenKeys, now());
  const { keys, ca, external } = identity();
  const facts = { keys, ca, external, namespace, lifeMs, nowMs: now(), allowsOldSidecars };
  const exchanged = answerExchange(request, pod, facts);
  log.debug({ pod: `${pod.namespace}/${pod.pod}`, function: request.function }, 'JWT made');
  return exchanged;
}
