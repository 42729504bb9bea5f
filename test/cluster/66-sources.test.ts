/** Workers without callers: they sleep at zero, a source outside wakes them, and they sleep again without work. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { connect } from 'nats';
import { openNats } from './harness/nats.ts';
import { openReach } from './harness/reach.ts';
import { openWorld, until } from './harness/world.ts';

const world = await openWorld();
const { namespace } = world;
const IDLE = { TimeoutSecondBeforeSetReplicasMin: 5 };
const SOURCE = { Name: 'work', IntervalMilliseconds: 1_000 };
const AT_ONCE = {
  Behavior: { ScaleDown: { StabilizationWindowSeconds: 0 } },
  ReplicaMax: 3,
  ScaleFromZero: true,
};

const scaleOf = (source: object, trigger: object): string =>
  JSON.stringify({
    ...AT_ONCE,
    Sources: [{ ...SOURCE, ...source }],
    Triggers: [{ Source: 'work', ...trigger }],
  });

async function eventsOf(name: string): Promise<string> {
  const selector = `involvedObject.name=${name}`;
  return world.kubectl(['get', 'events', '-n', namespace, '--field-selector', selector, '-o', 'wide']);
}

it('an exporter’s page, with credentials of a Secret that the namespace lets the scaler read', async () => {
  const Url = `http://exporter.${namespace}.svc:5000/metrics`;
  const Scale = scaleOf({ Url, Secret: 'exporter-login' }, { Query: 'demo_backlog', Threshold: 3 });
  await using worker = await world.deploy({ name: 'reader', annotations: { ...IDLE, Scale } });
  const metadata = { name: 'exporter-login', namespace };
  await world.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { token: 's3cret' } });
  const told = async () => /may not read Secret exporter-login/.test(await eventsOf(worker.name));
  await until(told, 'an Event says that the Secret may not be read');
  assert.equal(await worker.replicas(), 0);

  await using _exporter = await world.deployPlain({
    name: 'exporter',
    replicas: 1,
    env: { BACKLOG_MS: 100_000 },
  });
  const rules = [
    { apiGroups: [''], resources: ['secrets'], resourceNames: ['exporter-login'], verbs: ['get'] },
  ];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'exporter-login' };
  const scaler = { kind: 'ServiceAccount', name: 'slimfaas-scaler', namespace: world.release.system };
  const rbac = 'rbac.authorization.k8s.io/v1';
  const ports = [{ port: 5000 }];
  await world.apply(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'exporter', namespace },
      spec: { selector: { app: 'exporter' }, ports },
    },
    { apiVersion: rbac, kind: 'Role', metadata, rules },
    { apiVersion: rbac, kind: 'RoleBinding', metadata, roleRef, subjects: [scaler] },
  );
  // What could not be read is read again after 15, 30 and 60 s.
  await worker.waitForReplicas(2, 90_000);
  await worker.waitForReady(2);
  await worker.waitForReplicas(0, 180_000);
});

it('the lag of a JetStream consumer', async (t) => {
  await openNats(world, world.context, namespace);
  const reach = await openReach(world, world.context, namespace, 'own-nats', 4222);
  t.after(() => reach.close());
  const connection = await connect({ servers: `${reach.host}:${reach.port}` });
  t.after(() => connection.close());
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'WORK', subjects: ['work'] });
  await manager.consumers.add('WORK', { durable_name: 'worker', ack_policy: 'explicit' as never });
  const source = {
    Type: 'nats-jetstream',
    Url: `nats://own-nats.${namespace}.svc:4222`,
    Stream: 'WORK',
    Consumer: 'worker',
  };
  const Scale = scaleOf(source, { Threshold: 2 });
  await using worker = await world.deploy({ name: 'consumer', annotations: { ...IDLE, Scale } });
  for (let i = 0; i < 4; i++) await connection.jetstream().publish('work');
  const sinceMs = performance.now();
  await worker.waitForReplicas(2);
  t.diagnostic(`2 replicas ${Math.round(performance.now() - sinceMs)} ms after the work was published`);
  const consumer = await connection.jetstream().consumers.get('WORK', 'worker');
  for (let i = 0; i < 4; i++) await (await consumer.next())?.ackAck();
  await worker.waitForReplicas(0, 60_000);
  await world.kubectl(['delete', 'deployment,service', 'own-nats', '-n', namespace]);
});

it('a URL of another namespace, and metadata services, are told of and not asked', async () => {
  const Scale = scaleOf({ Url: 'http://169.254.169.254/latest/meta-data' }, { Query: 'x', Threshold: 1 });
  await using worker = await world.deploy({ name: 'curious', annotations: { ...IDLE, Scale } });
  const told = async () => /169.254.169.254 is not in --source-allow/.test(await eventsOf(worker.name));
  await until(told, 'an Event says that it is refused');
  assert.equal(await worker.replicas(), 0);
});
