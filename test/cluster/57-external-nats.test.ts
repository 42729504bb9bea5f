/**
 * A NATS that is not of the chart, with TLS and users of its own: installed with credentials in a Secret, which are changed
 * under load. The server then cuts off whoever shows the old ones.
 */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { natsAccounts } from '../../cli/parts/nats-accounts.ts';
import { createAuthority, issueCertificate } from '../../webhook/certificates/x509.ts';
import { send } from '../helpers/send.ts';
import { createClients } from './harness/clients.ts';
import { openNats, type OwnServer } from './harness/nats.ts';
import { installRelease, makeNamespace, removeRelease, type Release } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { openWorldOf, until, type Deployed, type World } from './harness/world.ts';

const context = readContext();
const { settings } = context;
const clients = createClients(settings, context.apiUrl);
const release: Release = {
  system: `${settings.prefix}-external`,
  functions: [`${settings.prefix}-external-fn`],
};
const MESSAGING = `${settings.prefix}-messaging`;
const ROLES = ['proxy', 'scaler', 'sidecar'];

let server: OwnServer;
let world: World;
let worker: Deployed;

const passwordOf = (role: string, version: string): string => `${role.toUpperCase()}-${version}`;
const users = (version: string): string =>
  natsAccounts().replaceAll(
    /\$SLIMFAAS_([A-Z]+)_PASSWORD/g,
    (_, role: string) => `"${passwordOf(role, version)}"`,
  );

async function writeSecret(name: string, stringData: Readonly<Record<string, string>>): Promise<void> {
  const metadata = { name, namespace: release.system };
  await clients.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData });
}

const writeCredentials = (version: string): Promise<void> =>
  writeSecret(
    'nats-users',
    Object.fromEntries(
      ROLES.flatMap((role) => [
        [`${role}.user`, `slimfaas-${role}`],
        [`${role}.password`, passwordOf(role, version)],
      ]),
    ),
  );

before(async () => {
  const validity = { nowMs: Date.now(), validMs: 3_600_000 };
  const authority = await createAuthority(validity);
  const host = `own-nats.${MESSAGING}.svc`;
  const pair = await issueCertificate(authority, [host], validity);
  server = await openNats(clients, context, MESSAGING, { pair, config: users('a') });
  await makeNamespace(clients, context, release.system);
  await writeSecret('nats-ca', { 'ca.crt': authority.certificate });
  await writeCredentials('a');
  const nats = {
    'nats.url': `tls://${host}:4222`,
    'nats.credentials.secretName': 'nats-users',
    'nats.ca.secretName': 'nats-ca',
  };
  await installRelease(clients, context, release, { values: nats });
  world = await openWorldOf(clients, context, release);
  worker = await world.deploy({ name: 'worker', annotations: { ReplicasMin: 1 }, replicas: 1 });
  await worker.waitForReady(1);
});
after(async () => {
  await removeRelease(clients, release);
  await clients.tryKubectl(['delete', 'namespace', MESSAGING, '--wait=false', '--ignore-not-found']);
});

/** Whether it was accepted, and then it has run. */
async function jobRuns(): Promise<boolean> {
  const url = `${world.proxyUrl}/async-function/${worker.route}/hello`;
  const { status, headers } = await send(url, { method: 'POST' });
  if (status !== 201) return false;
  const state = `${world.proxyUrl}/async-function-job/${worker.route}/${String(headers['slimfaas-element-id'])}`;
  await until(async () => /"state":"done"/.test((await send(state)).body), 'the job is done', 90_000);
  return true;
}

const webhookLog = (): Promise<string> =>
  clients.kubectl(['logs', '-n', release.system, '-l', 'app.kubernetes.io/component=webhook', '--tail=-1']);

it('a job runs, and it is said that functions share a user', async () => {
  await until(jobRuns, 'a job runs', 60_000);
  assert.match(await webhookLog(), /functions share one user on NATS/);
});

it('other credentials, under load: no call fails, and all connect again with the new ones', async (t) => {
  const caller = await world.caller();
  const order = { url: `${world.insideUrl}/function/${worker.route}/work/50`, callers: 4, paceMs: 60 };
  const load = await caller.load(order);
  const inForce = async (): Promise<number> =>
    (await webhookLog()).split('what is mounted for NATS is in force').length - 1;
  const before = await inForce();
  await Promise.all([writeCredentials('b'), server.give(users('b'))]);
  // Both replicas; the kubelet brings a Secret to its pods within a minute or two.
  await until(async () => (await inForce()) === before + 2, 'the webhooks have read the new ones', 180_000);
  await server.reload();
  await until(jobRuns, 'a job runs with the new ones', 60_000);
  await using cold = await world.deploy({ name: 'cold' });
  assert.equal((await world.call(cold.name)).status, 200);
  const { calls, failures, p99, max } = await load.stop();
  t.diagnostic(`${calls} calls, p99 ${p99} ms, max ${max} ms`);
  assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${calls} calls failed`);
});
