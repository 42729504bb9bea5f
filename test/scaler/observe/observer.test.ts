/** What is remembered of a function, a pod and a decision, and what ends it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../../../common/kube/client.ts';
import { Decisions } from '../../../scaler/loop/decisions.ts';
import { Observer } from '../../../scaler/observe/observer.ts';
import { podOf } from '../../../scaler/world/kube-objects.ts';
import { FunctionRecord } from '../../../scaler/observe/function-record.ts';
import { factsOf } from '../support/facts.ts';

const KEY = 'default/web';

function workload(kind: 'Deployment' | 'StatefulSet', isFunction: boolean): V1Deployment & V1StatefulSet {
  const annotations = isFunction ? { 'SlimFaas/Function': 'true' } : {};
  return {
    metadata: { name: 'web', namespace: 'default', uid: kind },
    spec: { replicas: 2, template: { metadata: { annotations } } },
  } as unknown as V1Deployment & V1StatefulSet;
}

test('what is seen of another object of the same name does not take back what a human has set', () => {
  const observer = new Observer(() => 1_000);
  observer.onWorkload('StatefulSet', workload('StatefulSet', true));
  const { after } = observer.onWorkload('Deployment', workload('Deployment', false));
  assert.equal(after?.kind, 'StatefulSet');
  observer.onCountOfOthers(after as NonNullable<typeof after>);
  observer.onWorkload('Deployment', workload('Deployment', false));
  assert.equal(observer.of(KEY)?.setByOthers?.replicas, 2);
});

test('a pod that was made again by the same name begins without what the former one said', () => {
  const pod = (uid: string) => {
    const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 's', controller: true };
    const metadata = { name: 'web-0', namespace: 'default', uid, ownerReferences: [owner] };
    return podOf({ metadata, spec: { containers: [] }, status: {} } as unknown as V1Pod);
  };
  const record = new FunctionRecord(0);
  const [first, second] = [pod('1'), pod('2')];
  assert.ok(first && second);
  record.observePod(first, 0);
  record.hearReady({ pod: 'web-0', ip: '10.0.0.1', state: 'ready', start: 5, seq: 0 } as never, false, 10);
  record.observePod(first, 20);
  assert.equal(record.pods.get('web-0')?.announcedReady, true);
  record.observePod(second, 30);
  assert.deepEqual(
    [record.pods.get('web-0')?.announcedReady, record.pods.get('web-0')?.firstObservedMs],
    [false, 30],
  );
});

test('a decision that stands is looked at again when the next one fails', () => {
  const decisions = new Decisions();
  const steady = { fromMs: 0, untilMs: Infinity, epoch: 1 };
  decisions.note(KEY, { kind: 'hold', because: 'asleep', wanted: 0, reason: 'x' }, factsOf(), steady);
  assert.equal(decisions.isSteady(KEY, 1, 1), true);
  assert.equal(decisions.noteFailure(KEY, 'broken'), true);
  assert.equal(decisions.isSteady(KEY, 2, 1), false);
});
