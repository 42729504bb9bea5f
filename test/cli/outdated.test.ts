/** Which pods carry a sidecar that is not the webhook's of today. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOfOlderWebhook, outdated, outdatedTable } from '../../cli/client/outdated.ts';
import type { V1Pod } from '../../common/kube/client.ts';

const NEW = 'slimfaas/slimfaas:0.2.0';
const OLD = 'slimfaas/slimfaas:0.1.0';

function pod(image: string, changes: Partial<V1Pod['metadata']> = {}, isNative = false): V1Pod {
  const sidecar = { name: 'slimfaas-sidecar', image };
  const app = { name: 'app', image: 'app' };
  return {
    metadata: {
      name: 'fn-abc-1',
      namespace: 'shop',
      annotations: { 'slimfaas.dev/status': '{"version":"0.1.0","hash":"x"}' },
      ...changes,
    },
    spec: isNative ? { initContainers: [sidecar], containers: [app] } : { containers: [app, sidecar] },
  };
}

const WITH_IDENTITY = { hasIdentity: true, proof: undefined };

describe('a pod is outdated', () => {
  it('when its sidecar is of another image, whichever kind of container it is', () => {
    for (const isNative of [true, false])
      assert.deepEqual(outdated(pod(OLD, {}, isNative), NEW), {
        namespace: 'shop',
        pod: 'fn-abc-1',
        owner: { kind: 'Other', id: { namespace: 'shop', name: 'fn-abc-1' } },
        version: '0.1.0',
        image: OLD,
      });
  });

  it('not when it has the image, has its own by annotation, is ending, or was not injected', () => {
    const status = '{"version":"0.1.0"}';
    assert.equal(outdated(pod(NEW), NEW), undefined);
    const own = { 'slimfaas.dev/status': status, 'slimfaas.dev/sidecar-image': OLD };
    assert.equal(outdated(pod(OLD, { annotations: own }), NEW), undefined);
    assert.equal(outdated(pod(OLD, { deletionTimestamp: new Date() }), NEW), undefined);
    const copied = { ...pod(OLD), spec: { containers: [{ name: 'app', image: 'app' }] } };
    assert.equal(outdated(copied, NEW), undefined, 'the annotation alone is no sidecar');
  });

  it('when it has no identity, and sidecars that are injected now have one', () => {
    const known = pod(NEW);
    const sidecar = known.spec?.containers.find(({ name }) => name === 'slimfaas-sidecar');
    if (sidecar) sidecar.env = [{ name: 'SLIMFAAS_GRANT', value: 'x' }];
    assert.equal(outdated(pod(NEW), NEW, WITH_IDENTITY)?.pod, 'fn-abc-1');
    assert.equal(outdated(known, NEW, WITH_IDENTITY), undefined);
  });

  it('when it asks callers for another proof than sidecars that are injected now', () => {
    const asking = (proof: string): V1Pod => {
      const made = pod(NEW);
      const sidecar = made.spec?.containers.find(({ name }) => name === 'slimfaas-sidecar');
      if (sidecar) sidecar.env = [{ name: 'SLIMFAAS_PROXY_PROOF', value: proof }];
      return made;
    };
    const now = { hasIdentity: false, proof: 'required' };
    assert.equal(outdated(asking('permissive'), NEW, now)?.pod, 'fn-abc-1');
    assert.equal(outdated(pod(NEW), NEW, now)?.pod, 'fn-abc-1');
    assert.equal(outdated(asking('required'), NEW, now), undefined);
    assert.equal(outdated(asking('required'), NEW)?.pod, 'fn-abc-1', 'nobody is asked any more');
  });

  it('when it looks for NATS elsewhere than sidecars that are injected now', () => {
    const known = pod(NEW);
    const sidecar = known.spec?.containers.find(({ name }) => name === 'slimfaas-sidecar');
    if (sidecar) sidecar.env = [{ name: 'SLIMFAAS_NATS', value: 'tls://nats:4222' }];
    const now = { hasIdentity: false, proof: undefined, nats: 'tls://nats:4222' };
    assert.equal(outdated(known, NEW, { ...now, nats: 'nats://slimfaas-nats:4222' })?.pod, 'fn-abc-1');
    assert.equal(outdated(known, NEW, now), undefined);
  });

  it('also when its status annotation is not there, or no JSON: somebody else wrote it', () => {
    assert.equal(outdated(pod(OLD, { annotations: {} }), NEW)?.version, '?');
    assert.equal(outdated(pod(OLD, { annotations: { 'slimfaas.dev/status': 'null' } }), NEW)?.version, '?');
    assert.equal(outdated(pod(OLD, { annotations: { 'slimfaas.dev/status': 'yes' } }), NEW)?.version, '?');
  });
});

it('the table names workloads, versions and images, and says so when there is nothing', () => {
  const owner = { kind: 'Deployment', id: { namespace: 'shop', name: 'fn' } } as const;
  const one = { namespace: 'shop', pod: 'fn-abc-1', owner, version: '0.1.0', image: OLD };
  assert.match(
    outdatedTable([one], NEW),
    /shop +fn-abc-1 +deployment\/fn +0\.1\.0 +slimfaas\/slimfaas:0\.1\.0/,
  );
  assert.equal(outdatedTable([], NEW), `every sidecar is ${NEW}`);
});

describe('a pod is of an older webhook, which still injects what it did', () => {
  const template = {
    name: 'webhook',
    args: ['webhook', '--auth=required', '--proxy-proof=required'],
    env: [{ name: 'SLIMFAAS_SIDECAR_IMAGE', value: NEW }],
  };
  const webhook = (changes: object, phase = 'Running'): V1Pod => ({
    spec: { containers: [{ ...template, ...changes }] },
    status: { phase },
  });

  it('when it is told anything else: the image, a flag, a variable', () => {
    const older = [
      { args: ['webhook', '--auth=required', '--proxy-proof=permissive'] },
      { args: ['webhook', '--auth=permissive', '--proxy-proof=required'] },
      { args: template.args.slice(0, 2) },
      { env: [{ name: 'SLIMFAAS_SIDECAR_IMAGE', value: OLD }] },
      { env: [] },
    ];
    for (const changes of older)
      assert.equal(isOfOlderWebhook(webhook(changes), template), true, JSON.stringify(changes));
  });

  it('not when somebody else adds to it, nor when it has ended, as after an eviction', () => {
    assert.equal(isOfOlderWebhook(webhook({}), template), false);
    const added = { env: [{ name: 'OTHER', value: 'x' }, ...template.env] };
    assert.equal(isOfOlderWebhook(webhook(added), template), false);
    assert.equal(isOfOlderWebhook(webhook({ args: [] }, 'Failed'), template), false);
  });
});
