/** A canary is rolled back in the cluster: what the scaler writes and tells, and what stays when it restarts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage } from '../../../common/bus/messages.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { readCanaryEnd, canaryEndText, CANARY_END_ANNOTATION } from '../../../common/function/canary-end.ts';
import { readWorkload } from '../../../common/kube/model/workload.ts';
import type { V1Deployment, V1StatefulSet } from '../../../common/kube/client.ts';
import { waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';

const BACK = {
  revision: '3',
  at: '2026-01-02T03:04:05.000Z',
  why: '12 % of 100 calls failed',
  isPromoted: false,
};

test('a roll-back holds for the version that was judged; one by hand for any', () => {
  assert.deepEqual(readCanaryEnd(canaryEndText(BACK), '3'), BACK);
  assert.equal(readCanaryEnd(canaryEndText(BACK), '4'), undefined);
  assert.equal(readCanaryEnd(undefined, '3'), undefined);
  assert.equal(readCanaryEnd(' ', '3'), undefined);
  for (const text of ['true', '{', '[1]', '{"why": 7}', 'x'.repeat(200_000)])
    assert.equal(readCanaryEnd(text, '3')?.why, 'somebody has set the annotation', text.slice(0, 20));
  assert.ok(canaryEndText({ ...BACK, why: 'x'.repeat(5_000) }).length < 1_200);
});

test('the version of a workload is what Kubernetes counts, and two of them are a roll-out', () => {
  const read = (annotations: Record<string, string>, status: object, kind: 'Deployment' | 'StatefulSet') => {
    const object = { metadata: { name: 'a', namespace: 'b', annotations }, spec: {}, status };
    const { revision, isRollingOut, canaryEnd } = readWorkload(kind, object as V1Deployment & V1StatefulSet);
    return [revision, isRollingOut, canaryEnd?.why];
  };
  const annotations = {
    'deployment.kubernetes.io/revision': '3',
    [CANARY_END_ANNOTATION]: canaryEndText(BACK),
  };
  assert.deepEqual(read(annotations, { replicas: 2, updatedReplicas: 2 }, 'Deployment'), [
    '3',
    false,
    BACK.why,
  ]);
  assert.deepEqual(read({}, { replicas: 2, updatedReplicas: 1 }, 'Deployment'), ['', true, undefined]);
  assert.deepEqual(read({}, { updateRevision: 'a-7' }, 'StatefulSet'), ['a-7', false, undefined]);
});

test('the bad canary: an annotation, an Event, a metric, and the view of a scaler that started since', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('shop');
  await cluster.fn('next', {
    'slimfaas.dev/canary-of': 'shop',
    'slimfaas.dev/weight': '10',
    'slimfaas.dev/roll-back': '{"Calls": 50}',
  });
  const first = await cluster.scaler();
  const say = (name: string, pod: string, failed: number) => {
    const counts = { ended: 50, failed, durations: [10, 50] };
    const quiet = {
      running: 0,
      runningNow: 0,
      waiting: 0,
      started: 0,
      finished: 50,
      failed,
      windowMs: 1_000,
    };
    const message = encodeMessage({ source: 'proxy', pod, ...quiet, calls: counts });
    cluster.link.publish(functionSubject('activity', { namespace: 'default', name }), message);
  };
  const annotation = () =>
    cluster.api.api.get('deployments', 'default', 'next')?.metadata.annotations?.[CANARY_END_ANNOTATION];
  const sayBoth = () => (say('next', 'proxy-b', 25), say('shop', 'proxy-a', 1));
  await waitFor(() => (sayBoth(), annotation() !== undefined), {
    what: 'the canary is rolled back',
    intervalMs: 500,
  });
  const why = readCanaryEnd(annotation(), '')?.why ?? '';
  assert.match(why, /^50 % of \d+ calls failed, and 2 % of \d+ calls of shop; allowed: 5 points more$/);
  await waitFor(
    () =>
      cluster.api.api
        .list('events')
        .some((event) => event['reason'] === 'CanaryRolledBack' && String(event['message']).includes(why)),
    { what: 'an Event says why' },
  );
  const metrics = await (await fetch(`${first.url}/metrics`)).text();
  assert.match(metrics, /slimfaas_autoscaler_canaries_rolled_back_total\{[^}]*function="next"[^}]*\} 1/);
  await first.scaler.stop();
  const second = await cluster.scaler();
  const shown = (await (await fetch(`${second.url}/functions/default/next`)).json()) as Shown;
  assert.deepEqual([shown.canary.of, shown.canary.weight, shown.canary.ended?.why], ['shop', 10, why]);
  assert.match(shown.faults.join(), /gets no calls of shop/);
});

interface Shown {
  readonly faults: readonly string[];
  readonly canary: { readonly of: string; readonly weight: number; readonly ended?: { why: string } };
}
