/**
 * The webhook's few requests to the Kubernetes API: its Secret and the caBundle of its configuration. None is
 * made while a review is answered. Writes carry the version that was read, so that of two replicas that write
 * at once one gets a {@link StaleWriteError} and reads again.
 */
import { OpenidApi, PatchStrategy, setHeaderOptions, WellKnownApi } from '@kubernetes/client-node';
import type { KubeClients, V1Secret } from '../common/kube/client.ts';
import { within } from '../common/kube/within.ts';
import type { Log } from '../common/runtime/log.ts';
import type { PublishedKeys } from './issuer/verify-token.ts';

/** Conflicts and `managedFields` name the writer. */
const FIELD_MANAGER = 'slimfaas-webhook';

/** One request that never ends must not be the last one. */
const inTime = within(10_000);

/** Somebody else wrote in between: read again. */
export class StaleWriteError extends Error {
  readonly code = 'stale-write';

  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StaleWriteError';
  }
}

/** Two replicas that start together meet once or twice; more means that something else writes there. */
const MAX_ATTEMPTS = 5;

/** Once more from the start, after another replica wrote first. @throws StaleWriteError after some attempts */
export async function retryStale<T>(attempt: () => Promise<T>, log: Log): Promise<T> {
  for (let count = 1; ; count++)
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof StaleWriteError) || count === MAX_ATTEMPTS) throw error;
      log.debug({ attempt: count }, 'another replica wrote first; reading again');
    }
}

export interface StoredSecret {
  /** undefined: the Secret does not exist yet. */
  readonly version: string | undefined;
  /** Another one when it was deleted and made again. */
  readonly uid?: string | undefined;
  /** Decoded. */
  readonly data: Readonly<Record<string, string>>;
}

export interface StoredBundle {
  readonly version: string;
  /** For each webhook that calls our Service: its place in the list and its caBundle, decoded. */
  readonly entries: readonly { readonly index: number; readonly caBundle: string }[];
}

/** What the certificates need of the cluster; tests of the pure parts put a small fake here. */
export interface CertificateCluster {
  readSecret(): Promise<StoredSecret>;
  /** @throws StaleWriteError */
  writeSecret(data: Readonly<Record<string, string>>, version: string | undefined): Promise<void>;
  readBundle(): Promise<StoredBundle>;
  /** @throws StaleWriteError */
  writeBundle(bundle: StoredBundle, caBundle: string): Promise<void>;
}

export interface ClusterNames {
  readonly namespace: string;
  readonly secret: string;
  readonly service: string;
  readonly configuration: string;
  /** It may be applied later, by somebody else. */
  readonly mayLackConfiguration: boolean;
}

export interface SecretName {
  readonly name: string;
  readonly namespace: string;
  readonly type: 'kubernetes.io/tls' | 'Opaque';
}

export type SecretStore = Pick<CertificateCluster, 'readSecret' | 'writeSecret'>;

/** One Secret, whose writes carry the version that was read. */
export function secretStore(
  kube: Pick<KubeClients, 'core'>,
  { type, ...secret }: SecretName,
  requestTime = inTime,
): SecretStore {
  const { namespace } = secret;
  return {
    async readSecret() {
      const found = await orAbsent(kube.core.readNamespacedSecret(secret, requestTime));
      const { resourceVersion: version, uid } = found?.metadata ?? {};
      return { version, uid, data: decoded(found?.data) };
    },
    async writeSecret(data, version) {
      const body: V1Secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: metadataOf(secret, version),
        type,
        data: mapped(data, encode),
      };
      await orStale(
        version === undefined
          ? kube.core.createNamespacedSecret({ namespace, body, fieldManager: FIELD_MANAGER }, requestTime)
          : kube.core.replaceNamespacedSecret({ ...secret, body, fieldManager: FIELD_MANAGER }, requestTime),
      );
    },
  };
}

export interface StoredText {
  readonly version: string | undefined;
  readonly data: Readonly<Record<string, string>>;
}

/** One ConfigMap, in the same way. */
export function configMapStore(
  kube: KubeClients,
  name: { readonly name: string; readonly namespace: string },
) {
  const { namespace } = name;
  return {
    async read(): Promise<StoredText> {
      const found = await orAbsent(kube.core.readNamespacedConfigMap(name, inTime));
      return { version: found?.metadata?.resourceVersion, data: found?.data ?? {} };
    },
    /** @throws StaleWriteError */
    async write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<void> {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadataOf(name, version), data };
      await orStale(
        version === undefined
          ? kube.core.createNamespacedConfigMap({ namespace, body, fieldManager: FIELD_MANAGER }, inTime)
          : kube.core.replaceNamespacedConfigMap({ ...name, body, fieldManager: FIELD_MANAGER }, inTime),
      );
    },
  };
}

export function certificateCluster(kube: KubeClients, names: ClusterNames): CertificateCluster {
  return {
    ...secretStore(kube, { name: names.secret, namespace: names.namespace, type: 'kubernetes.io/tls' }),
    readBundle: () => readBundle(kube, names),
    async writeBundle(bundle, caBundle) {
      const body = [
        { op: 'test', path: '/metadata/resourceVersion', value: bundle.version },
        ...bundle.entries.map(({ index }) => ({
          op: 'add',
          path: `/webhooks/${index}/clientConfig/caBundle`,
          value: encode(caBundle),
        })),
      ];
      await orStale(
        kube.admission.patchMutatingWebhookConfiguration(
          { name: names.configuration, body, fieldManager: FIELD_MANAGER },
          setHeaderOptions('Content-Type', PatchStrategy.JsonPatch, inTime),
        ),
      );
    },
  };
}

/** Every service account may read both: the role `system:service-account-issuer-discovery`. */
export async function readPublishedKeys({ config }: Pick<KubeClients, 'config'>): Promise<PublishedKeys> {
  const [discovery, jwks] = (await Promise.all([
    config.makeApiClient(WellKnownApi).getServiceAccountIssuerOpenIDConfiguration(inTime),
    config.makeApiClient(OpenidApi).getServiceAccountIssuerOpenIDKeyset(inTime),
  ])) as unknown as [{ issuer?: unknown }, PublishedKeys['jwks']];
  if (typeof discovery.issuer !== 'string' || !Array.isArray(jwks.keys))
    throw new Error('the API server publishes no keys for tokens of service accounts');
  return { issuer: discovery.issuer, jwks };
}

async function readBundle(kube: KubeClients, names: ClusterNames): Promise<StoredBundle> {
  const found = await readConfiguration(kube, names);
  if (!found) return { version: '', entries: [] };
  const entries = (found.webhooks ?? []).flatMap(({ clientConfig }, index) => {
    const { service, caBundle } = clientConfig;
    const isOurs = service?.name === names.service && service.namespace === names.namespace;
    return isOurs ? [{ index, caBundle: Buffer.from(caBundle ?? '', 'base64').toString() }] : [];
  });
  if (entries.length === 0)
    throw new Error(
      `MutatingWebhookConfiguration ${names.configuration} has no webhook for Service ${names.namespace}/${names.service}`,
    );
  return { version: found.metadata?.resourceVersion ?? '', entries };
}

/** @returns undefined for one that is not there yet, where that is allowed */
async function readConfiguration(kube: KubeClients, names: ClusterNames) {
  try {
    return await kube.admission.readMutatingWebhookConfiguration({ name: names.configuration }, inTime);
  } catch (error) {
    const isAway = [403, 404].includes(statusOf(error) ?? 0);
    if (isAway && names.mayLackConfiguration) return undefined;
    throw error;
  }
}

/** 409: created or updated by another; 422: the `test` of a JSON patch did not hold. */
async function orStale(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (cause) {
    const status = statusOf(cause);
    if (status === 409 || status === 422) throw new StaleWriteError('written by another replica', { cause });
    throw cause;
  }
}

async function orAbsent<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

function metadataOf(name: { name: string; namespace: string }, version: string | undefined) {
  return {
    ...name,
    labels: { 'app.kubernetes.io/name': 'slimfaas', 'app.kubernetes.io/component': 'webhook' },
    ...(version === undefined ? {} : { resourceVersion: version }),
  };
}

function mapped(data: Readonly<Record<string, string>>, change: (text: string) => string) {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, change(text)]));
}

function decoded(data: Readonly<Record<string, string>> = {}): Record<string, string> {
  return mapped(data, (text) => Buffer.from(text, 'base64').toString());
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function statusOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'number' ? code : undefined;
}
