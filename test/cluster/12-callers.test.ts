/**
 * Callers that say who they are, in a release without the cluster's parts: its rights are Roles in its own namespaces,
 * and its functions have no sidecars until an administrator applies the rest.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { CHART } from '../../manifests/helm.ts';
import { send } from '../helpers/send.ts';
import { createClients } from './harness/clients.ts';
import { openNats } from './harness/nats.ts';
import { openReach } from './harness/reach.ts';
import { installRelease, makeNamespace, removeRelease, type Release } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { openWorldOf, until } from './harness/world.ts';

const context = readContext();
const clients = createClients(context.settings, context.apiUrl);
const system = `${context.settings.prefix}-callers`;
const release: Release = { system, functions: [`${system}-fn`] };
const [fnNamespace = ''] = release.functions;
const issuerUrl = `http://issuer.${fnNamespace}.svc:5000`;

const AUTH = JSON.stringify({
  Jwt: { Issuer: issuerUrl, Audience: 'shop', RequiredClaims: { scope: 'orders' }, ForwardClaims: ['email'] },
  ApiKeys: ['team-a'],
});
const SHOP = 'https://shop.example.com';

const pair = await generateKeyPair('ES256', { extractable: true });
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: '1', alg: 'ES256' }] });
const tokenWith = (claims: Record<string, unknown>): Promise<string> =>
  new SignJWT({ iss: issuerUrl, sub: 'ada', aud: 'shop', email: 'ada@example.com', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: '1' })
    .setExpirationTime('10m')
    .sign(pair.privateKey);
const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

async function install(): Promise<void> {
  await makeNamespace(clients, context, system);
  const hash = createHash('sha256').update('a-long-key').digest('hex');
  await clients.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'callers', namespace: system },
    stringData: { 'team-a': `sha256:${hash}` },
  });
  await clients.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'operators', namespace: system },
    stringData: { token: 'an-operator' },
  });
  const { url: natsUrl } = await openNats(clients, context, system);
  await installRelease(clients, context, release, {
    values: {
      'nats.url': natsUrl,
      clusterParts: 'without',
      operatorAuth: 'token',
      'operatorToken.secretName': 'operators',
      'proxy.apiKeys.secretName': 'callers',
      'proxy.flags.jwt-issuers': [`${issuerUrl}=${issuerUrl}/keys`],
    },
  });
  await clients.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'issuer', namespace: fnNamespace },
    spec: { selector: { app: 'issuer' }, ports: [{ port: 5000 }] },
  });
}

after(() => removeRelease(clients, release));

it('callers: refused at the proxy while the function sleeps, let in with a token or a key; without rights on the cluster', async () => {
  await install();
  const manifest = await clients.tryHelm(['get', 'manifest', 'slimfaas', '--namespace', system]);
  assert.doesNotMatch(manifest.stdout, /^kind: (?:ClusterRole|ClusterRoleBinding|MutatingWebhook.*)$/m);
  const world = await openWorldOf(clients, context, release);
  await using issuer = await world.deployPlain({ name: 'issuer', replicas: 1, env: { KEYS: keys } });
  await issuer.waitForReady(1);
  await using orders = await world.deploy({
    name: 'orders',
    annotations: {
      'slimfaas.dev/auth': AUTH,
      'slimfaas.dev/rate-limit': '{"PerCaller":{"Rate":0.001,"Burst":3}}',
      'slimfaas.dev/cors': SHOP,
    },
  });
  const call = (init = {}) => world.call('orders', '/who', init);
  const nothing = await call();
  assert.equal(nothing.status, 401);
  assert.match(String(nothing.headers['www-authenticate']), /^Bearer realm="slimfaas"/);
  const guess = await call({ headers: { 'X-Api-Key': 'a-guess' } });
  assert.equal(guess.status, 401);
  assert.match(String(guess.headers['www-authenticate']), /^ApiKey/);
  await until(
    async () => (await call(bearer(await tokenWith({})))).status === 403,
    'a token without its claim is known',
  );
  const preflight = await call({
    method: 'OPTIONS',
    headers: { Origin: SHOP, 'Access-Control-Request-Method': 'POST' },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], SHOP);
  assert.equal(await orders.replicas(), 0, 'nobody has woken it');

  const token = await tokenWith({ scope: 'read orders' });
  const first = await call(bearer(token));
  assert.equal(first.status, 200, first.body);
  const { headers } = JSON.parse(first.body) as { headers: Record<string, string> };
  assert.equal(headers['slimfaas-caller'], 'ada');
  assert.equal(headers['slimfaas-claim-email'], 'ada@example.com');
  assert.equal(headers['authorization'], undefined);
  const byKey = await call({ headers: { 'X-Api-Key': 'a-long-key', Origin: SHOP } });
  assert.equal(byKey.status, 200, byKey.body);
  assert.match(byKey.body, /"slimfaas-caller":"team-a"/);
  assert.equal(byKey.headers['access-control-allow-origin'], SHOP);
  // Three calls of one caller, and the fourth is one too many.
  const statuses: number[] = [];
  for (let i = 0; i < 3; i += 1) statuses.push((await call(bearer(token))).status);
  assert.deepEqual(statuses, [200, 200, 429]);
  const late = await call(bearer(token));
  assert.ok(Number(late.headers['retry-after']) > 0);
  const [pod] = await orders.pods();
  assert.equal(pod?.['spec'].containers.length, 1, 'no webhook, no sidecar');

  const reach = await openReach(clients, context, system, 'slimfaas-proxy', 5080);
  after(() => reach.close());
  const outside = (path: string) =>
    send(`http://${reach.host}:${reach.port}${path}`, { headers: { 'X-Api-Key': 'a-long-key' } });
  assert.equal((await outside(`/function/${orders.route}/who`)).status, 200);
  for (const path of ['/status-functions', `/wake-function/${orders.route}`, '/metrics'])
    assert.equal((await outside(path)).status, 404, path);
});

it('clusterParts: only is what an administrator adds: new pods have sidecars then', async () => {
  const args = [
    'template',
    'slimfaas',
    CHART,
    '--namespace',
    system,
    '--set',
    'clusterParts=only',
    '--set',
    `namespaces={${fnNamespace}}`,
  ];
  const { stdout: parts } = await clients.tryHelm(args);
  assert.match(parts, /^kind: MutatingWebhookConfiguration$/m);
  await clients.kubectl(['apply', '-f', '-'], { input: parts });
  after(() => clients.tryKubectl(['delete', '--ignore-not-found', '-f', '-'], { input: parts }));
  const world = await openWorldOf(clients, context, release);
  await using late = await world.deploy({ name: 'late', replicas: 1, annotations: { ReplicasMin: 1 } });
  await until(
    async () => {
      const pods = await late.pods();
      const hasSidecar = pods.some(({ spec }) => JSON.stringify(spec).includes('slimfaas-sidecar'));
      if (!hasSidecar)
        for (const { metadata } of pods)
          await clients.send('DELETE', `/api/v1/namespaces/${fnNamespace}/pods/${metadata.name}`);
      return hasSidecar;
    },
    'a new pod has a sidecar',
    60_000,
  );
  await late.waitForReady(1);
  assert.equal((await world.call('late')).status, 200);
});
