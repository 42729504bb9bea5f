/**
 * Secret and caBundle in memory with versions, as {@link CertificateCluster} wants them. Each request takes a turn
 * of the event loop, so that two replicas interleave as they would over a network.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { StaleWriteError, type CertificateCluster } from '../../webhook/kube.ts';

export interface FakeCluster extends CertificateCluster {
  secret: { version: number; data: Readonly<Record<string, string>> } | undefined;
  bundle: string;
  readonly writes: { secret: number; bundle: number; stale: number };
  /** Called before each request; throw in it to make that request fail. */
  onRequest: (name: keyof CertificateCluster) => void;
}

export function createFakeCluster(): FakeCluster {
  let bundleVersion = 1;
  let created = 0;
  const stale = (): never => {
    cluster.writes.stale++;
    throw new StaleWriteError('stale');
  };
  const cluster: FakeCluster = {
    secret: undefined,
    bundle: '',
    writes: { secret: 0, bundle: 0, stale: 0 },
    onRequest: () => undefined,
    async readSecret() {
      await begin(cluster, 'readSecret');
      const { secret } = cluster;
      return {
        version: secret && String(secret.version),
        uid: secret && String(created),
        data: secret?.data ?? {},
      };
    },
    async writeSecret(data, version) {
      await begin(cluster, 'writeSecret');
      if (version !== (cluster.secret && String(cluster.secret.version))) stale();
      if (version === undefined) created++;
      cluster.secret = { version: (cluster.secret?.version ?? 0) + 1, data };
      cluster.writes.secret++;
    },
    async readBundle() {
      await begin(cluster, 'readBundle');
      return { version: String(bundleVersion), entries: [{ index: 0, caBundle: cluster.bundle }] };
    },
    async writeBundle({ version }, caBundle) {
      await begin(cluster, 'writeBundle');
      if (version !== String(bundleVersion)) stale();
      bundleVersion++;
      cluster.bundle = caBundle;
      cluster.writes.bundle++;
    },
  };
  return cluster;
}

async function begin(cluster: FakeCluster, name: keyof CertificateCluster): Promise<void> {
  await turn();
  cluster.onRequest(name);
}
