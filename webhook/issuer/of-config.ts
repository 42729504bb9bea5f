/** The issuer by the webhook's flags, and what it gives to the injection. */
import type { KubeClients } from '../../common/kube/client.ts';
import type { Log } from '../../common/runtime/log.ts';
import { addressOr, type WebhookFlagValues } from '../flags.ts';
import type { InjectedIdentity } from '../inject/identity.ts';
import type { WebhookMetrics } from '../metrics.ts';
import { readPublishedKeys } from '../kube.ts';
import { clusterKeys } from './cluster-keys.ts';
import { UsageError } from '../../common/runtime/errors.ts';
import { readExternalNats, type ExternalPlaces } from './external-nats.ts';
import { grantFor } from './identity-keys.ts';
import { startIssuer, type Issuer } from './issuer.ts';
import { identityStores, type IssuerIdentity } from './keep-identity.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/**
 * Sidecars have the CA in their environment, which does not change while a pod runs. So these live long, and a new CA
 * signs half a year after it was first given to pods. Pods that are older than that get it with their next identity.
 */
const LIVES = { authorityValidMs: 3_650 * DAY_MS, certificateValidMs: 730 * DAY_MS, settleMs: 180 * DAY_MS };

interface IssuerDeps {
  readonly log: Log;
  readonly kube: KubeClients;
  readonly now?: () => number;
}

/** @returns undefined with `auth: off`, which needs no identities */
export function issuerOf(
  config: WebhookFlagValues,
  deps: IssuerDeps,
  metrics: WebhookMetrics,
): Issuer | undefined {
  const { log, kube, now = Date.now } = deps;
  metrics.asksOnBus(config.auth === 'required');
  if (config.auth !== 'required')
    log.warn(
      { auth: config.auth },
      'NATS does not authenticate its clients: whoever reaches it can read and write all jobs',
    );
  const places = externalPlaces(config);
  if (config.auth === 'off') return undefined;
  const { namespace } = config;
  return startIssuer({
    host: config.host,
    port: config['exchange-port'],
    namespace,
    lifeMs: config['identity-hours'] * HOUR_MS,
    checkMs: config['certificate-check-seconds'] * 1_000,
    stores: identityStores(kube, namespace),
    policy: { dnsNames: serverNames(config), ...LIVES },
    tokenKeys: clusterKeys({ read: () => readPublishedKeys(kube), now, log }),
    // With `permissive` NATS authenticates nobody yet. Old and new sidecars change to `required` together.
    allowsOldSidecars: config['old-sidecars'] || config.auth === 'permissive',
    ...(places ? { readExternal: () => readExternalNats(places), onExternal: metrics.externalNats } : {}),
    onOutcome: (outcome) => metrics.exchange(outcome),
    onLimited: () => metrics.limited('exchange-connections'),
    now,
    log,
  });
}

/** @returns undefined for the bundled NATS @throws UsageError */
function externalPlaces(config: WebhookFlagValues): ExternalPlaces | undefined {
  const { 'nats-signing-key': signingKey, 'nats-credentials': credentials, 'nats-ca-file': caFile } = config;
  if (signingKey !== '' && credentials !== '')
    throw new UsageError('--nats-signing-key and --nats-credentials are two ways to the same NATS: give one');
  const hasOne = signingKey !== '' || credentials !== '';
  if (!hasOne && caFile !== '')
    throw new UsageError('--nats-ca-file goes with --nats-signing-key or --nats-credentials');
  if (hasOne && config.auth === 'off')
    throw new UsageError('--nats-signing-key and --nats-credentials need --auth required or permissive');
  return hasOne ? { signingKey, credentials, caFile } : undefined;
}

/** What the certificate of issuer and NATS is for. NATS servers of which there are three reach each other by name. */
export function serverNames(
  config: Pick<WebhookFlagValues, 'namespace' | 'nats-service' | 'issuer-service'>,
): string[] {
  const { namespace, 'nats-service': nats, 'issuer-service': issuer } = config;
  const services = [nats, issuer].flatMap((service) => [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.cluster.local`,
    `${service}.${namespace}`,
  ]);
  const ofThree = [0, 1, 2].map((index) => `${nats}-cluster-${index}.${nats}-cluster.${namespace}.svc`);
  return [...services, ...ofThree];
}

/** Read at each review: keys and CA may be others by then. */
export function identityOptions(
  config: WebhookFlagValues,
  identity: IssuerIdentity | undefined,
): InjectedIdentity | undefined {
  const { auth } = config;
  if (!identity || (auth !== 'permissive' && auth !== 'required')) return undefined;
  return {
    auth,
    issuer: config['sidecar-issuer'],
    issuerAddress: addressOr(config['sidecar-issuer-address']),
    ca: identity.ca,
    grantFor: (granted) => grantFor(identity.keys.grantKey, granted),
  };
}
