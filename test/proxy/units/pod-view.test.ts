/** What a pod's own container may say of itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNkey } from '../../../common/identity/nkey.ts';
import type { V1Pod } from '../../../common/kube/client.ts';
import { viewPod } from '../../../proxy/pods/pod-view.ts';
import { unknownKeyText } from '../../../proxy/pods/prover.ts';

function viewWith(keys: string | undefined) {
  const env = keys === undefined ? [] : [{ name: 'SLIMFAAS_PROXY_KEYS', value: keys }];
  const pod: V1Pod = {
    metadata: {
      name: 'a-b-1',
      namespace: 'own',
      labels: { 'pod-template-hash': 'b' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'a-b', uid: 'u', controller: true },
      ],
    },
    spec: { containers: [{ name: 'slimfaas-sidecar', env }] },
  };
  const view = viewPod(pod);
  assert.ok(view);
  return view;
}

test('keys of proofs are kept as they are written; what is longer or more than ours is cut', () => {
  const ours = [1, 2, 3, 4].map(() => createNkey('user').publicKey);
  assert.deepEqual(viewWith(ours.join(',')).proxyKeys, ours);
  for (const none of [undefined, '']) assert.deepEqual(viewWith(none).proxyKeys, []);
  const long = 'x'.repeat(1_000_000);
  for (const text of [long, `${ours.join(',')},${long}`, 'x,'.repeat(500_000), ','.repeat(1_000_000)]) {
    const view = viewWith(text);
    assert.ok(view.proxyKeys.length > 0 && view.proxyKeys.length <= 4);
    for (const key of view.proxyKeys) assert.ok(key.length <= 56);
    assert.ok(unknownKeyText(view).length < 200);
  }
});
