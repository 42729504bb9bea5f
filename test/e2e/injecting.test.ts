/** Injection through the real webhook processes: beside another webhook, in a restricted and in another namespace. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { stringify } from 'yaml';
import { createServerIdentity } from '../../packages/local-cluster/api/http/certificates.ts';
import { staysTrue, waitFor } from '../helpers/wait.ts';
import { createWorld, startWorld, type World } from './world.ts';

const SHOP = 'shop';

let world: World;
/** Functions of a namespace that is not the system's own, and that admits only restricted pods. */
let shop: World;
before(async () => {
  world = await startWorld();
  shop = createWorld(world.system, SHOP);
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await world.system.apply(
    stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SHOP, labels } }),
  );
});
after(() => world[Symbol.asyncDispose]());

function names(containers: readonly { name: string }[] | undefined): string[] {
  return (containers ?? []).map(({ name }) => name);
}

/** A service mesh's webhook, which comes after ours and adds a container of its own. @returns the pods it was asked about */
async function startMesh(t: TestContext, app: string): Promise<string[]> {
  const identity = await createServerIdentity(['127.0.0.1']);
  const asked: string[] = [];
  const server = createServer({ cert: identity.certPem, key: identity.keyPem }, async (request, response) => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { apiVersion, kind, request: review } = JSON.parse(text);
    asked.push(names(review.object.spec.containers).join());
    const container = { name: 'mesh', image: 'tests/mesh', command: ['sleep', '1000'] };
    const patch = Buffer.from(JSON.stringify([{ op: 'add', path: '/spec/containers/-', value: container }]));
    const answer = {
      uid: review.uid,
      allowed: true,
      patchType: 'JSONPatch',
      patch: patch.toString('base64'),
    };
    response.end(JSON.stringify({ apiVersion, kind, response: answer }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const hook = {
    name: 'mesh.example.com',
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    clientConfig: {
      url: `https://127.0.0.1:${port}/`,
      caBundle: Buffer.from(identity.caPem).toString('base64'),
    },
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
    objectSelector: { matchLabels: { app } },
  };
  const kind = 'MutatingWebhookConfiguration';
  const apiVersion = 'admissionregistration.k8s.io/v1';
  // Configurations are asked in the order of their names.
  await world.system.apply(stringify({ apiVersion, kind, metadata: { name: 'z-mesh' }, webhooks: [hook] }));
  t.after(async () => {
    await world.system.api.delete('mutatingwebhookconfigurations', undefined, 'z-mesh');
    server.close();
    server.closeAllConnections();
  });
  return asked;
}

/** Reviews of a kind by all webhook processes. */
async function reviews(outcome: string): Promise<number> {
  const labelSelector = 'app.kubernetes.io/component=webhook';
  const pods = world.system.api.list('pods', { namespace: 'slimfaas', labelSelector });
  const counts = await Promise.all(
    pods.map(async (pod) => {
      const text = await (await fetch(`http://${pod['status'].podIP}:5002/metrics`)).text();
      return Number(
        new RegExp(`slimfaas_webhook_reviews_total\\{outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1] ?? 0,
      );
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

test('behaviour 39: a second webhook changes the pod, so ours is asked again: exactly one sidecar', async (t) => {
  const asked = await startMesh(t, 'meshed');
  const before = { injected: await reviews('injected'), completed: await reviews('completed') };
  await world.deploy({ name: 'meshed' });
  assert.equal((await world.call('meshed', '/hello/x')).status, 200);
  const [pod] = world.pods('meshed');
  assert.deepEqual(asked, ['app,slimfaas-sidecar']);
  assert.deepEqual(names(pod?.['spec'].containers), ['app', 'slimfaas-sidecar', 'mesh']);
  assert.deepEqual(
    [(await reviews('injected')) - before.injected, (await reviews('completed')) - before.completed],
    [1, 1],
  );
});

test('behaviour 40: a namespace that enforces restricted Pod Security admits the injected pod', async () => {
  await shop.deploy({ name: 'locked', isRestricted: true });
  assert.equal((await shop.call('locked', '/hello/x')).status, 200);
  assert.deepEqual(names(shop.pods('locked')[0]?.['spec'].containers), ['app', 'slimfaas-sidecar']);
  // The namespace does refuse what is not restricted.
  const refused = {
    metadata: { name: 'bare', namespace: SHOP },
    spec: { containers: [{ name: 'a', image: 'a' }] },
  };
  await assert.rejects(
    world.system.apply(stringify({ apiVersion: 'v1', kind: 'Pod', ...refused })),
    /violates PodSecurity "restricted/,
  );
});

test('a function of another namespace: injected, reached by name.namespace, asleep and awake again', async () => {
  const annotations = { TimeoutSecondBeforeSetReplicasMin: 2 };
  await shop.deploy({ name: 'twin', annotations, isRestricted: true });
  await world.deploy({ name: 'twin', annotations });
  for (const visitor of ['guillaume', 'again']) {
    const answer = await shop.call('twin', `/hello/${visitor}`);
    assert.deepEqual([answer.status, answer.body], [200, `Hello ${visitor}\n`]);
    assert.equal(shop.replicas('twin'), 1);
    // Sleeping takes a report of its sidecar: it has reached NATS from its own namespace.
    await shop.waitForReplicas('twin', 0);
    await waitFor(() => shop.allPods('twin').length === 0, { what: 'its pod is gone' });
  }
  await staysTrue(() => world.replicas('twin') === 0, { what: 'its namesake sleeps', forMs: 500 });
});
