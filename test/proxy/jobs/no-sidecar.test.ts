/** Functions whose pods have no sidecar run no jobs and hear no events: refused with the reason, and nothing is woken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { callUrl } from '../support/calls.ts';
import { startEventWorld, type EventWorld } from '../support/event-world.ts';
import { collectWakes, statusOf } from '../support/wakes.ts';

interface Status {
  readonly Faults: readonly { readonly inForce: string }[];
}

const EVENT = { 'SlimFaas/SubscribeEvents': 'paid' };

async function refused(t: EventWorld, name: string, why: RegExp): Promise<void> {
  for (const answer of [await t.post(name, '/x'), await t.publish('paid')]) {
    assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [501, 'no-sidecar'], answer.text);
    assert.match(answer.text, why);
    assert.ok(answer.text.includes(`default/${name}`), answer.text);
  }
  assert.equal(await t.depth(), 0);
}

test('hostNetwork and inject "false", at zero: 501 with the reason, no wake, and a fault on the page', async () => {
  for (const [annotations, podSpec, why] of [
    [{}, { hostNetwork: true }, /hostNetwork/],
    [{ 'slimfaas.dev/inject': 'false' }, {}, /inject is \\"false\\"/],
  ] as const) {
    await using t = await startEventWorld();
    const wakes = collectWakes(t.proxy, 'bare');
    t.proxy.addFunction('bare', { ...EVENT, ...annotations }, { podSpec });
    await t.proxy.readyPods('bare', 0);
    await refused(t, 'bare', why);
    const [status] = JSON.parse((await callUrl(`${t.proxy.url}/status-function/bare`)).text) as Status[];
    assert.match(status?.Faults[0]?.inForce ?? '', /jobs and events are refused/);
    await t.proxy.link.connection?.flush();
    assert.deepEqual(wakes, []);
  }
});

test('pods that were made without a sidecar: 501 until the first one with it is there', async () => {
  await using t = await startEventWorld();
  t.proxy.addFunction('old', EVENT, { replicas: 1 });
  await t.proxy.addPod('old', { hasSidecar: false, name: 'old-1', port: 8080 });
  await t.proxy.readyPods('old', 1);
  await refused(t, 'old', /made without one.*rollout restart/);
  t.proxy.setPod('old', 'new-1', '127.0.0.9', { hasSidecar: true, isReady: false });
  await waitFor(async () => (await statusOf(t.proxy, 'old')).Pods.length === 2, {
    what: 'the new pod is known',
  });
  assert.equal((await t.post('old', '/')).status, 201);
});

test('an event goes to those that can hear it', async () => {
  await using t = await startEventWorld();
  t.proxy.addFunction('bare', EVENT, { podSpec: { hostNetwork: true } });
  await t.addFunction('mail', { SubscribeEvents: 'paid' });
  await t.proxy.readyPods('bare', 0);
  assert.equal((await t.publish('paid')).status, 204);
  assert.equal(await t.depth(), 1);
});
