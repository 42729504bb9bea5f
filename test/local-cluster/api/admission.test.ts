/** Admission webhooks, truly called over TLS. */
// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { createServerIdentity } from '../../../packages/local-cluster/api/http/certificates.ts';
import type { ApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { call, deploymentManifest, podManifest, startLocalApi } from '../../helpers/local-api.ts';

const PODS = '/api/v1/namespaces/default/pods';
const SERVICE = { namespace: 'slimfaas', name: 'webhook', path: '/mutate', port: 443 };

// oxlint-disable-next-line typescript/no-explicit-any -- a review as it comes over the wire
type Review = any;
type Respond = (request: Review) => object | undefined | Promise<object | undefined>;

interface Hook {
  readonly caBundle: string;
  readonly port: number;
  readonly reviews: Review[];
  readonly urls: string[];
  readonly connections: () => number;
}

/** A webhook server made out to the service's name; `respond` gives the response's fields. */
async function startHook(t: TestContext, respond: Respond, dnsName = 'webhook.slimfaas.svc'): Promise<Hook> {
  const identity = await createServerIdentity([], [dnsName]);
  const reviews: Review[] = [];
  const urls: string[] = [];
  let connections = 0;
  const server = createServer({ cert: identity.certPem, key: identity.keyPem }, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const review = JSON.parse(Buffer.concat(chunks).toString()) as Review;
    reviews.push(review.request);
    urls.push(request.url ?? '');
    const answer = await respond(review.request);
    if (answer === undefined) return void response.writeHead(500).end('broken');
    const body = { uid: review.request.uid, allowed: true, ...answer };
    response.end(JSON.stringify({ apiVersion: review.apiVersion, kind: review.kind, response: body }));
  });
  server.on('secureConnection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const caBundle = Buffer.from(identity.caPem).toString('base64');
  return { caBundle, port, reviews, urls, connections: () => connections };
}

const patch = (...operations: object[]) => ({
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});
const label = (name: string, value: string) => patch({ op: 'add', path: `/metadata/labels/${name}`, value });

interface Configured {
  readonly name?: string;
  readonly hook: Hook;
  readonly webhook?: object;
  readonly resource?: string;
}

async function configure(
  server: ApiServer,
  { name = 'inject', hook, webhook, resource }: Configured,
): Promise<void> {
  server.attachRuntime({
    resolveService: (namespace, service, port) =>
      namespace === SERVICE.namespace && service === SERVICE.name && port === SERVICE.port
        ? { host: '127.0.0.1', port: hook.port }
        : undefined,
  });
  const webhooks = [
    {
      name: `${name}.slimfaas.dev`,
      clientConfig: { service: SERVICE, caBundle: hook.caBundle },
      rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      timeoutSeconds: 2,
      ...webhook,
    },
  ];
  const kind = resource === undefined ? 'MutatingWebhookConfiguration' : 'ValidatingWebhookConfiguration';
  await server.api.create(resource ?? 'mutatingwebhookconfigurations', {
    kind,
    metadata: { name } as KubeObject['metadata'],
    webhooks,
  });
}

const start = (t: TestContext) => startLocalApi((release) => t.after(release));
const labelled = (name: string, metadata: object = {}) =>
  podManifest(name, { metadata: { labels: { app: 'x' }, ...metadata } });
const createPod = (server: ApiServer, body: KubeObject, query = '') =>
  call(server, `${PODS}${query}`, { method: 'POST', body });

describe('a mutating webhook', () => {
  test('is sent the whole review and its patch is applied', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => label('injected', 'yes'));
    await configure(server, { hook });
    const { body } = await createPod(server, labelled('a'));
    assert.deepEqual(body.metadata.labels, { app: 'x', injected: 'yes' });
    const [review] = hook.reviews;
    assert.deepEqual(review.kind, { group: '', version: 'v1', kind: 'Pod' });
    assert.deepEqual(review.resource, { group: '', version: 'v1', resource: 'pods' });
    assert.deepEqual(
      [review.operation, review.namespace, review.name, review.dryRun],
      ['CREATE', 'default', 'a', false],
    );
    assert.equal(review.userInfo.username, 'admin');
    assert.equal(review.object.spec.containers[0].imagePullPolicy, 'IfNotPresent', 'defaults are in already');
    assert.equal(review.oldObject, null);
    assert.deepEqual(hook.urls, ['/mutate?timeout=2s']);
  });

  test('is asked about the pods that controllers in this process create, too', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => label('injected', 'yes'));
    await configure(server, { hook });
    const pod = await server.api.create(
      'pods',
      podManifest('', { metadata: { generateName: 'a-', labels: {} } }),
    );
    assert.equal(pod.metadata.labels?.injected, 'yes');
    assert.equal(hook.reviews[0].name, undefined, 'a generated name comes later');
  });

  test('what it adds gets its defaults, and is validated', async (t) => {
    const server = await start(t);
    const container = { name: 'slimfaas', image: 'slimfaas:1', restartPolicy: 'Always' };
    const hook = await startHook(t, ({ name }) =>
      name === 'bad'
        ? patch({ op: 'add', path: '/spec/initContainers', value: [{ name: 'slimfaas' }] })
        : patch({ op: 'add', path: '/spec/initContainers', value: [container] }),
    );
    await configure(server, { hook });
    const { body } = await createPod(server, podManifest('good'));
    assert.equal(body.spec.initContainers[0].terminationMessagePolicy, 'File');
    const bad = await createPod(server, podManifest('bad'));
    assert.equal(bad.status, 422);
    assert.match(bad.body.message, /spec\.initContainers\[0\]\.image: Required value/);
  });

  test('keeps its connection from review to review', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => ({}));
    await configure(server, { hook });
    for (const name of ['a', 'b', 'c']) await createPod(server, podManifest(name));
    assert.equal(hook.reviews.length, 3);
    assert.equal(hook.connections(), 1);
  });

  test('its warnings reach the client as headers, once each', async (t) => {
    const server = await start(t);
    const warnings = ['SlimFaas/ReplicasMin: "many" is no number; using 0', 'second'];
    const hook = await startHook(t, () => ({ warnings: [...warnings, 'second'] }));
    await configure(server, { hook });
    const { headers } = await createPod(server, podManifest('a'));
    assert.equal(
      headers.warning,
      '299 - "SlimFaas/ReplicasMin: \\"many\\" is no number; using 0", 299 - "second"',
    );
  });

  test('denies with its own code and message', async (t) => {
    const server = await start(t);
    const status = { code: 422, message: 'port 15080 is taken' };
    const hook = await startHook(t, ({ name }) => ({ allowed: false, ...(name === 'a' ? { status } : {}) }));
    await configure(server, { hook });
    const own = await createPod(server, podManifest('a'));
    assert.equal(own.status, 422);
    assert.match(
      own.body.message,
      /admission webhook "inject\.slimfaas\.dev" denied the request: port 15080 is taken/,
    );
    const plain = await createPod(server, podManifest('b'));
    assert.deepEqual([plain.status, plain.body.message.endsWith('without explanation')], [403, true]);
    assert.equal(server.api.list('pods').length, 0);
  });

  test('is told of a dry run, and asked only if it has no side effects', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => label('injected', 'yes'));
    await configure(server, { hook });
    const { body } = await createPod(server, labelled('a'), '?dryRun=All');
    assert.equal(body.metadata.labels.injected, 'yes');
    assert.equal(hook.reviews[0].dryRun, true);
    assert.equal(server.api.get('pods', 'default', 'a'), undefined);
  });
});

describe('which requests a webhook is asked about', () => {
  const isFunction =
    "has(object.metadata.annotations) && 'SlimFaas/Function' in object.metadata.annotations && object.metadata.annotations['SlimFaas/Function'].lowerAscii() == 'true'";
  const cases: [what: string, webhook: object, metadata: object, isAsked: boolean][] = [
    ['object selector matches', { objectSelector: { matchLabels: { app: 'x' } } }, {}, true],
    ['object selector does not', { objectSelector: { matchLabels: { app: 'y' } } }, {}, false],
    [
      'namespace selector matches',
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } } },
      {},
      true,
    ],
    [
      'namespace selector excludes',
      {
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['default'] }],
        },
      },
      {},
      false,
    ],
    [
      'match condition holds',
      { matchConditions: [{ name: 'f', expression: isFunction }] },
      { annotations: { 'SlimFaas/Function': 'True' } },
      true,
    ],
    [
      'match condition does not',
      { matchConditions: [{ name: 'f', expression: isFunction }] },
      { annotations: { 'SlimFaas/Function': 'no' } },
      false,
    ],
    [
      'match condition without annotations',
      { matchConditions: [{ name: 'f', expression: isFunction }] },
      {},
      false,
    ],
    [
      'rule for other operations',
      { rules: [{ operations: ['UPDATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }] },
      {},
      false,
    ],
    [
      'rule for a subresource',
      { rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['pods/status'] }] },
      {},
      false,
    ],
    [
      'rule for everything',
      { rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }] },
      {},
      true,
    ],
    [
      'rule for the cluster',
      {
        rules: [
          { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], scope: 'Cluster' },
        ],
      },
      {},
      false,
    ],
  ];
  for (const [what, webhook, metadata, isAsked] of cases) {
    test(`${what}: ${isAsked ? 'asked' : 'not asked'}`, async (t) => {
      const server = await start(t);
      const hook = await startHook(t, () => ({}));
      await configure(server, { hook, webhook });
      assert.equal((await createPod(server, labelled('a', metadata))).status, 201);
      assert.equal(hook.reviews.length, isAsked ? 1 : 0);
    });
  }

  test('updates carry the old object', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => label('seen', 'yes'));
    const rules = [
      { operations: ['UPDATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] },
    ];
    await configure(server, { hook, webhook: { rules } });
    await server.api.create('deployments', deploymentManifest('web'));
    const body = { spec: { replicas: 2 } };
    const path = '/apis/apps/v1/namespaces/default/deployments/web';
    const patched = await call(server, path, { method: 'PATCH', type: 'application/merge-patch+json', body });
    assert.deepEqual([patched.body.metadata.labels.seen, patched.body.spec.replicas], ['yes', 2]);
    const [review] = hook.reviews;
    assert.deepEqual(
      [review.operation, review.oldObject.spec.replicas, review.object.spec.replicas],
      ['UPDATE', 1, 2],
    );
  });

  test('webhook configurations themselves are never held up', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => ({ allowed: false }));
    const rules = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }];
    await configure(server, { hook, webhook: { rules } });
    await configure(server, { name: 'second', hook });
    assert.equal(server.api.list('mutatingwebhookconfigurations').length, 2);
  });
});

describe('several webhooks', () => {
  test('run in order of name, each seeing what those before it did; IfNeeded once more', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, ({ object }) => {
      const seen = object.metadata.labels;
      return seen.first === undefined
        ? label('first', 'yes')
        : seen.second === undefined
          ? label('second', 'yes')
          : {};
    });
    await configure(server, { name: 'b', hook });
    await configure(server, { name: 'a', hook, webhook: { reinvocationPolicy: 'IfNeeded' } });
    const { body } = await createPod(server, labelled('x'));
    assert.deepEqual(Object.keys(body.metadata.labels), ['app', 'first', 'second']);
    assert.deepEqual(
      hook.reviews.map(({ object }) => Object.keys(object.metadata.labels).length),
      [1, 2, 3],
    );
  });

  test('no second time when nothing changed after it', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => ({}));
    for (const name of ['a', 'b'])
      await configure(server, { name, hook, webhook: { reinvocationPolicy: 'IfNeeded' } });
    await createPod(server, labelled('x'));
    assert.equal(hook.reviews.length, 2);
  });

  test('validating ones are asked last, see the final object, and can only deny', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, ({ object }) =>
      object.metadata.labels.injected === undefined
        ? label('injected', 'yes')
        : { allowed: object.metadata.name !== 'bad', status: { message: 'not this one' } },
    );
    await configure(server, { hook });
    await configure(server, { name: 'check', hook, resource: 'validatingwebhookconfigurations' });
    assert.equal((await createPod(server, labelled('good'))).status, 201);
    const bad = await createPod(server, labelled('bad'));
    assert.deepEqual([bad.status, bad.body.reason], [403, 'Forbidden']);
    assert.match(bad.body.message, /"check\.slimfaas\.dev" denied the request: not this one/);
  });
});

describe('a webhook that fails', () => {
  const never = () => new Promise<undefined>(() => {});
  const cases: [what: string, respond: Respond, webhook: object, message: RegExp][] = [
    ['answers 500', () => undefined, {}, /the server answered 500: broken/],
    ['answers something else', () => ({ uid: 'x' }), {}, /uid is not the request's/],
    ['takes too long', never, { timeoutSeconds: 1 }, /context deadline exceeded/],
    [
      'has no endpoints',
      () => ({}),
      { clientConfig: { service: { ...SERVICE, name: 'gone' } } },
      /Post "https:\/\/gone\.slimfaas\.svc:443\/mutate\?timeout=2s": no endpoints available for service "gone"/,
    ],
    [
      'has a condition that fails',
      () => ({}),
      { matchConditions: [{ name: 'x', expression: 'object.a.b' }] },
      /no such key: a/,
    ],
    [
      'is called by URL and not there',
      () => ({}),
      { clientConfig: { url: 'https://127.0.0.1:1/x' } },
      /ECONNREFUSED/,
    ],
  ];
  for (const [what, respond, webhook, message] of cases) {
    test(`${what}: Fail refuses with 500 and says why, Ignore goes on`, async (t) => {
      const server = await start(t);
      const hook = await startHook(t, respond);
      await configure(server, { hook, webhook });
      const { status, body } = await createPod(server, podManifest('a'));
      assert.deepEqual([status, body.reason], [500, 'InternalError']);
      assert.match(
        body.message,
        /^Internal error occurred: failed calling webhook "inject\.slimfaas\.dev": /,
      );
      assert.match(body.message, message);
      await server.api.delete('mutatingwebhookconfigurations', undefined, 'inject');
      await configure(server, { hook, webhook: { ...webhook, failurePolicy: 'Ignore' } });
      assert.equal((await createPod(server, podManifest('a'))).status, 201);
    });
  }

  test('a certificate of another authority is refused', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => ({}));
    const other = await createServerIdentity([], ['x']);
    await configure(server, { hook: { ...hook, caBundle: Buffer.from(other.caPem).toString('base64') } });
    const { status, body } = await createPod(server, podManifest('a'));
    assert.equal(status, 500);
    assert.match(body.message, /certificate|signature/);
    assert.equal(hook.reviews.length, 0);
  });

  test('a certificate made out to another name is refused', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => ({}), 'webhook.elsewhere.svc');
    await configure(server, { hook });
    const { status, body } = await createPod(server, podManifest('a'));
    assert.equal(status, 500);
    assert.match(body.message, /webhook\.slimfaas\.svc.*webhook\.elsewhere\.svc/s);
  });

  test('a bundle of an old and a new authority accepts either, as during a rotation', async (t) => {
    const server = await start(t);
    const hook = await startHook(t, () => ({}));
    const old = await createServerIdentity([], ['x']);
    const both = old.caPem + Buffer.from(hook.caBundle, 'base64').toString();
    await configure(server, { hook: { ...hook, caBundle: Buffer.from(both).toString('base64') } });
    assert.equal((await createPod(server, podManifest('a'))).status, 201);
  });
});
