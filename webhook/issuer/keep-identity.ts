/**
 * Keys and certificates of identity, shared by the replicas as the webhook's own certificates are: whoever comes
 * first makes them, and none leads. The private half is in two Secrets that the webhook alone reads. What NATS must
 * know is in one that its pod mounts, and the CA in a ConfigMap, so that both start again without us.
 */
import type { Log } from '../../common/runtime/log.ts';
import type { KeyPair } from '../../common/tls/key-pair.ts';
import { ownCertificates } from '../certificates/own-certificates.ts';
import type { RotationPolicy } from '../certificates/rotation.ts';
import {
  configMapStore,
  retryStale,
  secretStore,
  type CertificateCluster,
  type SecretStore,
  type StoredText,
} from '../kube.ts';
import type { KubeClients } from '../../common/kube/client.ts';
import { createKeys, dataOfKeys, keysOfData, natsConfigOf, type IdentityKeys } from './identity-keys.ts';

/** Fixed: the chart mounts them and gives rights to them by name. */
const NAMES = {
  keys: 'slimfaas-identity',
  certificates: 'slimfaas-identity-tls',
  // Not the one of the version before: its webhook would write what it knows there, while both run.
  nats: 'slimfaas-nats-accounts',
  ca: 'slimfaas-ca',
} as const;
const CA_FILE = 'ca.crt';

export interface IdentityStores {
  readonly keys: SecretStore;
  readonly certificates: SecretStore;
  readonly nats: SecretStore;
  readonly ca: {
    read(): Promise<StoredText>;
    /** @throws StaleWriteError */
    write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<void>;
  };
}

export interface IssuerIdentity {
  readonly keys: IdentityKeys;
  /** What NATS and the issuer show. */
  readonly pair: KeyPair;
  /** CA certificates by which both are known, PEM. */
  readonly ca: string;
}

export interface IdentityDeps {
  readonly stores: IdentityStores;
  readonly policy: RotationPolicy;
  readonly now: () => number;
  readonly log: Log;
}

export function identityStores(kube: KubeClients, namespace: string): IdentityStores {
  return {
    keys: secretStore(kube, { namespace, name: NAMES.keys, type: 'Opaque' }),
    certificates: secretStore(kube, { namespace, name: NAMES.certificates, type: 'kubernetes.io/tls' }),
    nats: secretStore(kube, { namespace, name: NAMES.nats, type: 'kubernetes.io/tls' }),
    ca: configMapStore(kube, { namespace, name: NAMES.ca }),
  };
}

/** Brings everything up to date, and returns what is in force. */
export async function checkIdentity({ stores, policy, now, log }: IdentityDeps): Promise<IssuerIdentity> {
  return retryStale(async () => {
    // Read first, and written against that version: another replica may change a key while we look at the keys. What we
    // then know is old, and must not take the place of what that replica has told NATS.
    const told = await stores.nats.readSecret();
    const keys = await keepKeys(stores.keys, log);
    let ca = '';
    const cluster = certificatesIn(stores, (text) => (ca = text));
    const pair = await ownCertificates({ cluster, policy, now, log }).check();
    const identity = { keys, pair, ca };
    await tellNats(stores.nats, told, identity, log);
    return identity;
  }, log);
}

async function keepKeys(store: SecretStore, log: Log): Promise<IdentityKeys> {
  const { version, data } = await store.readSecret();
  // Keys that cannot be read stay where they are: streams belong to their account.
  const { keys, isComplete } =
    version === undefined ? { keys: createKeys(), isComplete: false } : keysOfData(data);
  if (isComplete) return keys;
  await store.writeSecret(dataOfKeys(keys), version);
  log.info({ account: keys.account.publicKey, isNew: version === undefined }, 'keys made');
  return keys;
}

/** The ConfigMap stands for caBundle. @param onCa told what is in it, or will be */
function certificatesIn(
  { certificates, ca }: IdentityStores,
  onCa: (text: string) => void,
): CertificateCluster {
  return {
    ...certificates,
    async readBundle() {
      const { version = '', data } = await ca.read();
      const caBundle = data[CA_FILE] ?? '';
      onCa(caBundle);
      return { version, entries: [{ index: 0, caBundle }] };
    },
    async writeBundle({ version }, caBundle) {
      await ca.write({ [CA_FILE]: caBundle }, version === '' ? undefined : version);
      onCa(caBundle);
    },
  };
}

async function tellNats(
  store: SecretStore,
  { version, data }: StoredText,
  { keys, pair, ca }: IssuerIdentity,
  log: Log,
): Promise<void> {
  const wanted = {
    'nats.conf': natsConfigOf(keys),
    account: keys.account.publicKey,
    'tls.crt': pair.certificate,
    'tls.key': pair.key,
    [CA_FILE]: ca,
  };
  if (version !== undefined && Object.entries(wanted).every(([file, text]) => data[file] === text)) return;
  await store.writeSecret(wanted, version);
  log.info({ account: keys.account.publicKey }, 'what NATS must know has changed');
}
