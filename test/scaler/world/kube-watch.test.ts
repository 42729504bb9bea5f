/** What the scaler hears of the autoscalers of others, through the real client library. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { scalerClients } from '../../../scaler/world/kube.ts';
import { watchCluster } from '../../../scaler/world/kube-watch.ts';
import { startLocalApi } from '../../helpers/local-api.ts';
import { waitFor } from '../../helpers/wait.ts';
import { clientsOf } from '../support/test-scaler.ts';

const autoscaler = (target: string, kind = 'Deployment') => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name: 'hpa', namespace: 'default' } as KubeObject['metadata'],
  spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind, name: target }, minReplicas: 2, maxReplicas: 9 },
});

test('an autoscaler is heard of, also when it goes while nobody looks or turns to a kind that is none of ours', async (t) => {
  const server = await startLocalApi((release) => t.after(release));
  const told: string[] = [];
  let isSynced = false;
  const nothing = () => undefined;
  const watch = watchCluster(
    scalerClients(clientsOf(server)),
    ['default'],
    {
      onWorkload: nothing,
      onWorkloadGone: nothing,
      onPod: nothing,
      onPodGone: nothing,
      onCreationFailure: nothing,
      onSynced: (value) => void (isSynced = value),
      onFailed: nothing,
      onAutoscaler: ({ key, ownerKey }) => void told.push(`${key} → ${ownerKey}`),
      onAutoscalerGone: (key) => void told.push(`${key} gone`),
    },
    silentLog,
  );
  t.after(() => watch.stop());
  await server.api.create('horizontalpodautoscalers', autoscaler('a'));
  await waitFor(() => told.length === 1, { what: 'heard' });
  await server.api.modify('horizontalpodautoscalers', 'default', 'hpa', (draft) => {
    draft['spec'] = autoscaler('a', 'ReplicaSet').spec;
  });
  await waitFor(() => told.length === 2, { what: 'it looks after a ReplicaSet now' });
  await server.api.modify('horizontalpodautoscalers', 'default', 'hpa', (draft) => {
    draft['spec'] = autoscaler('a').spec;
  });
  await waitFor(() => told.length === 3, { what: 'and again after the Deployment' });
  server.failures.setAway(true);
  await waitFor(() => !isSynced, { what: 'the watches are broken' });
  await server.api.delete('horizontalpodautoscalers', 'default', 'hpa');
  server.failures.expireWatches();
  server.failures.setAway(false);
  await waitFor(() => told.length === 4, { what: 'the next list tells that it is gone' });
  assert.deepEqual(told, [
    'default/hpa → Deployment/default/a',
    'default/hpa gone',
    'default/hpa → Deployment/default/a',
    'default/hpa gone',
  ]);
});
