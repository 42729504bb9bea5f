/**
 * The webhook's few requests to the Kubernetes API: its Secret and the caBundle of its configuration. None is
 * made while a review is answered. Writes carry the version that was read, so that of two replicas that write
 * at once one gets a {@link StaleWriteError} and reads again.
 */
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import type { KubeClients, V1Secret } from '../common/kube/client.ts';

/** Conflicts and `managedFields` name the writer. */
const FIELD_MANAGER = 'slimfaas-webhook';

/** Somebody else wrote in between: read again. */
export class StaleWriteError extends Error {
  readonly code = 'stale-write';

  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StaleWriteError';
  }
}

export interface StoredSecret {
  /** undefined: the Secret does not exist yet. */
  readonly version: string | undefined;
  /** Decoded. */
  readonly data: Readonly<Record<string, string>>;
}

export interface StoredBundle {
  readonly version: string;
  /** Of each webhook that calls our Service: its place in the list and its caBundle, decoded. */
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
}

export function certificateCluster(kube: KubeClients, names: ClusterNames): CertificateCluster {
  const secret = { name: names.secret, namespace: names.namespace };
  return {
    async readSecret() {
      try {
        const found = await kube.core.readNamespacedSecret(secret);
        return { version: found.metadata?.resourceVersion, data: decoded(found) };
      } catch (error) {
        if (statusOf(error) === 404) return { version: undefined, data: {} };
        throw error;
      }
    },
    async writeSecret(data, version) {
      const body = secretBody(secret, data, version);
      await orStale(
        version === undefined
          ? kube.core.createNamespacedSecret({
              namespace: secret.namespace,
              body,
              fieldManager: FIELD_MANAGER,
            })
          : kube.core.replaceNamespacedSecret({ ...secret, body, fieldManager: FIELD_MANAGER }),
      );
    },
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
          setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
        ),
      );
    },
  };
}

async function readBundle(kube: KubeClients, names: ClusterNames): Promise<StoredBundle> {
  const found = await kube.admission.readMutatingWebhookConfiguration({ name: names.configuration });
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

function secretBody(
  name: { name: string; namespace: string },
  data: Readonly<Record<string, string>>,
  version: string | undefined,
): V1Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...name,
      labels: { 'app.kubernetes.io/name': 'slimfaas', 'app.kubernetes.io/component': 'webhook' },
      ...(version === undefined ? {} : { resourceVersion: version }),
    },
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, encode(text)])),
  };
}

function decoded(secret: V1Secret): Record<string, string> {
  const entries = Object.entries(secret.data ?? {});
  return Object.fromEntries(entries.map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]));
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function statusOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'number' ? code : undefined;
}
