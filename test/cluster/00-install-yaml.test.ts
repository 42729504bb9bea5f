/**
 * manifests/install.yaml and the demo, as README says. It serves all namespaces, so it runs only where nobody else uses the
 * cluster, and before any other release is there.
 */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { send } from '../helpers/send.ts';
import { createClients, type KubeObject } from './harness/clients.ts';
import { openReach } from './harness/reach.ts';
import { freeVolumes, RUN_LABEL } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { until } from './harness/world.ts';

const MANIFESTS = join(import.meta.dirname, '../../manifests');
const NAMESPACE = 'slimfaas';
const context = readContext();
const { settings } = context;
const clients = createClients(settings, context.apiUrl);
const isTaken = (await clients.get(`/api/v1/namespaces/${NAMESPACE}`)) !== undefined;
const whyNot = !settings.isExclusive
  ? 'CLUSTER_EXCLUSIVE is not 1'
  : isTaken
    ? `the namespace ${NAMESPACE} is there already`
    : false;

/** As they stand in the file, but with the images under test, and with the label by which a run is cleaned up. */
async function objectsOf(path: string): Promise<KubeObject[]> {
  const text = await readFile(join(MANIFESTS, path), 'utf8');
  const own = text
    .replaceAll(/\bslimfaas\/slimfaas:[\w.-]+/g, settings.image)
    .replaceAll(/\bslimfaas\/slimfaas-demo:[\w.-]+/g, settings.demoImage);
  return parseAllDocuments(own).map((document) => {
    const object = document.toJS() as KubeObject;
    const labels = { ...object.metadata.labels, [RUN_LABEL]: settings.prefix };
    return { ...object, metadata: { ...object.metadata, labels } };
  });
}

async function claimsOf(namespace: string): Promise<string[]> {
  const volumes = await clients.list('/api/v1/persistentvolumes');
  const own = volumes.filter(({ spec }) => spec.claimRef?.namespace === namespace);
  return own.map(({ status }) => status.phase as string);
}

it('install.yaml and the demo: each function is answered from zero', { skip: whyNot }, async (t) => {
  const all = await objectsOf('install.yaml');
  after(async () => {
    await clients.kubectl(['delete', '--ignore-not-found', '-f', join(MANIFESTS, 'install.yaml')]);
    await until(
      async () => (await claimsOf(NAMESPACE)).every((phase) => phase === 'Released'),
      'its volume is free',
    );
    await freeVolumes(clients, (namespace) => namespace === NAMESPACE);
  });
  await clients.apply(...all);
  const parts = ['deployment/slimfaas-proxy', 'deployment/slimfaas-scaler', 'deployment/slimfaas-webhook'];
  for (const part of ['statefulset/slimfaas-nats', ...parts])
    await clients.kubectl(['rollout', 'status', '-n', NAMESPACE, part, '--timeout=90s']);

  for (const file of await readdir(join(MANIFESTS, 'demo')))
    if (file.endsWith('.yaml')) await clients.apply(...(await objectsOf(`demo/${file}`)));
  const reach = await openReach(clients, context, NAMESPACE, 'slimfaas-proxy', 5000);
  after(() => reach.close());
  const url = `http://${reach.host}:${reach.port}`;
  const knows = async (): Promise<boolean> =>
    (JSON.parse((await send(`${url}/status-functions`)).body) as unknown[]).length >= 4;
  await until(knows, 'the proxy knows the demo');
  const answers = await Promise.all(
    ['fibonacci1', 'fibonacci2', 'fibonacci3'].map((name) => send(`${url}/function/${name}/hello/you`)),
  );
  for (const { status, body } of answers) assert.deepEqual([status, body.trim()], [200, 'Hello you']);
  t.diagnostic(`answered after ${answers.map(({ ms }) => (ms / 1_000).toFixed(1)).join(', ')} s`);
  const mysql = await clients.get(`/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets/mysql`);
  assert.equal(mysql?.['status'].readyReplicas, 1, 'what fibonacci2 depends on');
});
