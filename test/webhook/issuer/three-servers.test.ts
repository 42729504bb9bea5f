/** Three servers with what `slimfaas nats-streams` writes for them: routes over TLS, and each job three times. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { STORE_CONFIG, writeStoreConfig } from '../../../cli/parts/nats-store.ts';
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import type { Upkeep } from '../../../common/queue/upkeep.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import type { TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTestBus } from './bus.ts';
import { openClient, pullOne, type TestClient } from './clients.ts';

/**
 * Below the ports that the kernel gives out. The certificate is for `localhost`, so the servers cannot have addresses of
 * their own.
 */
const ports = [0, 1, 2].map((index) => 10_000 + (process.pid % 6_000) * 3 + index);

/** What the file says of the cluster; the test's server has its own store. */
async function clusterConfig(index: number, tlsDir: string): Promise<string> {
  const storeDir = await mkdtemp(join(tmpdir(), 'slimfaas-three-'));
  try {
    writeStoreConfig({
      storeDir,
      volume: '64Mi',
      include: '',
      tlsDir: '',
      cluster: {
        listen: `127.0.0.1:${ports[index]}`,
        routes: ports.map((port) => `localhost:${port}`),
        tlsDir,
      },
    });
    const text = await readFile(join(storeDir, STORE_CONFIG), 'utf8');
    return `server_name: n${index}\n${text.slice(text.indexOf('cluster {'))}`;
  } finally {
    await rm(storeDir, { recursive: true });
  }
}

test('a server is killed: no job is lost and new ones are taken; it comes back and has them too', async () => {
  const bus = await startTestBus(after);
  const servers = await Promise.all(
    ports.map((_, index) => bus.startNats((dir) => clusterConfig(index, dir))),
  );
  const clientOf = (nats: TestNats, role: 'proxy' | 'scaler') =>
    openClient({ bus, nats, atEnd: after }, { role, pod: `${role}-${nats.port}` });
  const [first, second, third] = servers as [TestNats, TestNats, TestNats];
  const settings = { ...jobSettings, replicas: 3 };
  const scaler = await clientOf(first, 'scaler');
  const upkeep = jetStreamUpkeep(scaler.link).live as Upkeep;
  const isMade = () =>
    upkeep.reconcile(settings, silentLog).then(
      () => true,
      () => false,
    );
  await waitFor(isMade, {
    what: 'the servers have found each other, and there are streams',
    timeoutMs: 60_000,
  });
  const id = { namespace: 'shop', name: 'pay' };
  await upkeep.open({ id, isOrdered: false }, settings);
  const stream = async () => await (await scaler.connection.jetstreamManager()).streams.info(JOBS_STREAM);
  assert.equal((await stream()).config.num_replicas, 3);

  const post = (client: TestClient, text: string) =>
    client.connection.jetstream().publish('slimfaas.job.shop.pay', Buffer.from(text), { timeout: 1_000 });
  const proxies = [await clientOf(first, 'proxy'), await clientOf(second, 'proxy')];
  await post(proxies[0] as TestClient, 'before');
  await third.kill();
  const isTaken = () =>
    post(proxies[1] as TestClient, 'after').then(
      () => true,
      () => false,
    );
  await waitFor(isTaken, { what: 'a job is taken by the two that are left', timeoutMs: 30_000 });
  await third.restart();
  const isCurrent = async () => {
    const { cluster } = await stream();
    return cluster?.replicas?.length === 2 && cluster.replicas.every(({ current }) => current);
  };
  await waitFor(isCurrent, { what: 'all three have all', timeoutMs: 30_000 });
  const sidecar = await openClient(
    { bus, nats: third, atEnd: after },
    { role: 'sidecar', namespace: 'shop', function: 'pay', pod: 'pay-1' },
  );
  assert.equal(await pullOne(sidecar.connection, id), 'before');
  assert.equal(await pullOne(sidecar.connection, id), 'after');
});
