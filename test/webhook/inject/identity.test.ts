/** What a pod gets where the bus asks who it is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1Pod } from '../../../common/kube/client.ts';
import { INJECT_STATUS_ANNOTATION } from '../../../common/function/names.ts';
import type { InjectOptions } from '../../../webhook/inject/inject.ts';
import { fixture, OPTIONS, review, sidecarEnv, sidecarOf, type Review } from '../reviews.ts';

const IDENTITY = {
  auth: 'required',
  issuer: 'https://slimfaas-issuer.slimfaas.svc:8444',
  issuerAddress: '10.96.0.7',
  ca: 'the CA',
  grantFor: (granted: object) => JSON.stringify(granted),
} as const;
const WITH = { ...OPTIONS, identity: IDENTITY };
const MOUNT = '/var/run/secrets/slimfaas.dev/identity';

const injected = (given: Review, options: InjectOptions = WITH): V1Pod => review(given, options).after;
const given = (): Review => fixture('deployment');

const PROOF = { mode: 'required', publicKeys: ['UKEY'] } as const;

describe('what a sidecar asks of its callers', () => {
  const asking = { ...OPTIONS, proof: PROOF };
  const askedBy = (pod: V1Pod) => {
    const { SLIMFAAS_PROXY_PROOF: mode, SLIMFAAS_PROXY_KEYS: keys } = sidecarEnv(pod);
    return [mode, keys];
  };

  it('is nothing by itself, and a proof with its public key where the webhook says so', () => {
    assert.deepEqual(askedBy(injected(given(), OPTIONS)), [undefined, undefined]);
    assert.deepEqual(askedBy(injected(given(), asking)), ['required', 'UKEY']);
    const direct = given();
    const { metadata } = direct.request.object;
    if (metadata) metadata.annotations = { ...metadata.annotations, 'slimfaas.dev/direct-calls': 'true' };
    assert.equal(sidecarEnv(injected(direct, asking))['SLIMFAAS_DIRECT_CALLS'], 'true');
  });

  it('is set in a pod that has a sidecar already, whatever it says itself', () => {
    const pod = structuredClone(injected(given(), OPTIONS));
    sidecarOf(pod)?.env?.push({ name: 'SLIMFAAS_PROXY_PROOF', value: 'off' });
    assert.deepEqual(askedBy(injected(withPod(given(), pod), asking)), ['required', 'UKEY']);
  });

  it('is a fault where a probe would be refused by it, or would stand in line with direct calls', () => {
    const probed = (annotations: Record<string, string> = {}): Review => {
      const one = given();
      const { object } = one.request;
      object.metadata = {
        ...object.metadata,
        annotations: { ...object.metadata?.annotations, ...annotations },
      };
      const [app] = object.spec?.containers ?? [];
      if (app) app.livenessProbe = { httpGet: { path: '/', port: 15_080 } };
      return one;
    };
    const warned = (given: Review, options: InjectOptions = asking) =>
      (review(given, options).response.warnings ?? []).filter((text) => text.includes('15080'));
    const advice = /has a probe of port 15080, .*; probe the app's own port$/;
    assert.match(warned(probed()).join(), advice);
    const direct = warned(probed({ 'slimfaas.dev/direct-calls': 'true' }));
    assert.match(direct.join(), advice, 'a full pod would be restarted');
    assert.deepEqual(warned(probed(), OPTIONS), []);
    assert.deepEqual(warned(probed(), { ...asking, proof: { ...PROOF, mode: 'permissive' } }), []);
  });

  it('does not make two injections different: keys change', () => {
    const hash = (pod: V1Pod) => pod.metadata?.annotations?.[INJECT_STATUS_ANNOTATION];
    const other = { ...OPTIONS, proof: { ...PROOF, publicKeys: ['UOTHER'] } };
    assert.equal(hash(injected(given(), asking)), hash(injected(given(), other)));
  });
});

describe('an identity', () => {
  it('is a token that the sidecar alone mounts, and what it is exchanged with', () => {
    const pod = injected(given());
    const sidecar = sidecarOf(pod);
    const others = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].filter(
      (container) => container !== sidecar,
    );
    const mounts = (container: typeof sidecar) =>
      container?.volumeMounts?.map(({ mountPath }) => mountPath) ?? [];
    assert.ok(mounts(sidecar).includes(MOUNT));
    for (const container of others) assert.ok(!mounts(container).includes(MOUNT), container.name);
    const volume = pod.spec?.volumes?.find(({ name }) => name === 'slimfaas-identity');
    assert.deepEqual(volume?.projected?.sources, [
      { serviceAccountToken: { audience: 'slimfaas', expirationSeconds: 3_600, path: 'token' } },
    ]);
    const env = sidecarEnv(pod);
    assert.equal(env['SLIMFAAS_AUTH'], 'required');
    assert.equal(env['SLIMFAAS_ISSUER'], IDENTITY.issuer);
    assert.equal(env['SLIMFAAS_ISSUER_ADDRESS'], '10.96.0.7');
    assert.equal(env['SLIMFAAS_ISSUER_CA'], 'the CA');
    assert.equal(env['SLIMFAAS_TOKEN_FILE'], `${MOUNT}/token`);
  });

  it('names the function that the webhook found by the owner, and the pod’s service account', () => {
    const one = given();
    const { request } = one;
    if (request.object.spec) request.object.spec.serviceAccountName = 'robot';
    const env = sidecarEnv(injected(one));
    assert.deepEqual(JSON.parse(env['SLIMFAAS_GRANT'] ?? ''), {
      namespace: request.namespace,
      serviceAccount: 'robot',
      function: env['SLIMFAAS_FUNCTION'],
    });
  });

  it('is not what makes two injections different: its CA and keys change', () => {
    const hash = (pod: V1Pod) => pod.metadata?.annotations?.[INJECT_STATUS_ANNOTATION];
    const other = { ...WITH, identity: { ...IDENTITY, ca: 'another CA' } };
    assert.equal(hash(injected(given())), hash(injected(given(), other)));
  });

  it('is given again to a pod that has a sidecar already: whatever it says of itself does not count', () => {
    const pod = structuredClone(injected(given(), OPTIONS));
    const sidecar = sidecarOf(pod);
    sidecar?.env?.push({ name: 'SLIMFAAS_GRANT', value: 'stolen' });
    const again = injected(withPod(given(), pod));
    const env = sidecarEnv(again);
    assert.match(env['SLIMFAAS_GRANT'] ?? '', /"function"/);
    assert.ok(sidecarOf(again)?.volumeMounts?.some(({ mountPath }) => mountPath === MOUNT));
    assert.deepEqual(injected(withPod(given(), again)), again, 'and then it stays as it is');
  });
});

function withPod(one: Review, object: V1Pod): Review {
  return { ...one, request: { ...one.request, object } } as Review;
}
