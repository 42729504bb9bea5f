import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Activator } from '../../../proxy/waiting/activator.ts';
import { explainNoPod, type ExplainedPod } from '../../../proxy/functions/explain.ts';
import { viewBarePods } from '../../../proxy/functions/function-view.ts';
import { viewPod } from '../../../proxy/pods/pod-view.ts';
import { createWake } from '../../../proxy/waiting/wake.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { functionView, podView, specOf } from '../support/pods.ts';

test('a wake at once, on each doubling, and each second; none once nobody waits', () => {
  const clock = new FakeClock();
  const wakes: number[] = [];
  const activator = new Activator(clock, (waiting) => wakes.push(waiting));
  for (let waiting = 1; waiting <= 1_000; waiting++) activator.update(waiting);
  assert.deepEqual(wakes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
  clock.advance(999);
  assert.equal(wakes.length, 10);
  clock.advance(1);
  assert.equal(wakes.at(-1), 1_000);
  clock.advance(3_000);
  assert.equal(wakes.length, 14);
  activator.update(0);
  clock.advance(10_000);
  assert.deepEqual([wakes.length, clock.pending], [14, 0]);
  activator.update(1);
  assert.equal(wakes.at(-1), 1, 'and at once again for the next');
});

test('that nobody waits any more is said once, and only of those whom the scaler was told of', () => {
  let served = 0;
  const activator = new Activator(
    new FakeClock(),
    () => undefined,
    () => served++,
  );
  activator.update(0);
  assert.equal(served, 0);
  activator.update(3);
  activator.update(1);
  assert.equal(served, 0);
  activator.update(0);
  activator.update(0);
  assert.equal(served, 1);
  activator.update(1);
  activator.stop();
  assert.equal(served, 1, 'a function that is no more has nothing to say');
});

const explained = (changes: Partial<ExplainedPod> = {}, trouble?: string): ExplainedPod => ({
  state: { kind: 'starting' },
  suspicion: undefined,
  view: { name: 'p', trouble, port: 80 },
  ...changes,
});

test('why there is no pod: the pods’ own troubles first, then Kubernetes’, then who did not act', () => {
  const why = (view: Parameters<typeof functionView>[0], ...pods: ExplainedPod[]) =>
    explainNoPod(functionView(view), pods);
  assert.match(why({ blocked: 'quota' }, explained({}, 'image pull failed')), /^image pull failed$/);
  assert.match(
    why({}, explained({ state: { kind: 'ready', by: 'kubernetes' }, suspicion: 'ECONNREFUSED' })),
    /pod p does not take calls: ECONNREFUSED/,
  );
  assert.match(
    why({}, explained({ view: { name: 'p', trouble: undefined, port: undefined } })),
    /slimfaas.dev\/port/,
  );
  assert.match(why({ blocked: 'exceeded quota' }), /could be created: exceeded quota/);
  assert.match(why({}, explained(), explained()), /^2 started but none got ready/);
  assert.match(why({ kind: 'Pod' }), /nobody scales/);
  assert.match(why({ replicas: 2 }), /2 replicas are wanted but no pod was created/);
  assert.match(why({ spec: specOf({ 'slimfaas.dev/paused': 'true' }) }), /paused/);
  assert.match(why({ spec: specOf({ 'SlimFaas/DependsOn': 'mysql' }) }), /mysql/);
  assert.match(why({}), /the scaler did not act/);
});

test('troubles that many pods share are told once, and at most two are named', () => {
  const pods = ['a', 'a', 'b', 'c'].map((trouble) => explained({}, trouble));
  assert.equal(explainNoPod(functionView(), pods), 'a; b');
  assert.match(
    explainNoPod(functionView(), [explained({ state: { kind: 'draining' } }, 'old')]),
    /did not act/,
  );
});

test('why a container does not run goes before what its sidecar finds at its port', () => {
  const view = { name: 'p', trouble: 'image pull failed', port: 80 };
  const refused = { suspicion: 'port 80 refuses connections' };
  const why = (isFailing: boolean) =>
    explainNoPod(functionView(), [explained({ ...refused, view: { ...view, isFailing } })]);
  assert.equal(why(true), 'image pull failed');
  assert.match(why(false), /port 80 refuses connections/);
});

test('a pod’s trouble is told with the pod’s name', () => {
  const viewOf = (status: object) => viewPod({ metadata: { name: 'p', namespace: 'default' }, status });
  const unscheduled = { type: 'PodScheduled', status: 'False', message: '0/3 nodes: memory' };
  assert.equal(
    viewOf({ conditions: [unscheduled] })?.trouble,
    'pod p cannot be scheduled: 0/3 nodes: memory',
  );
  const state = { waiting: { reason: 'ErrImagePull', message: 'no such tag' } };
  const unpulled = viewOf({ containerStatuses: [{ name: 'app', state }] });
  assert.equal(unpulled?.trouble, 'pod p, container app: image pull failed (ErrImagePull): no such tag');
  assert.equal(unpulled.isFailing, true);
  const running = { containerStatuses: [{ name: 'app', ready: false, state: { running: {} } }] };
  assert.equal(viewOf(running)?.isFailing, false);
  assert.deepEqual([viewOf({})?.trouble, viewOf({})?.isFailing], [undefined, false]);
});

test('a pod that nobody scales is a function while it runs; one that has ended, as a Job’s does, is none', () => {
  const owner = { kind: 'Other', id: { namespace: 'default', name: 'import-1' } } as const;
  const running = podView({ name: 'a', owner });
  const ended = podView({ name: 'b', owner, isEnded: true });
  assert.equal(viewBarePods(owner, [running, ended])?.replicas, 1);
  assert.equal(viewBarePods(owner, [ended]), undefined);
});

test('NATS is down and the scaler does not answer, or not well: said, with its address and why', async (t) => {
  const scaler = createServer((_req, res) => res.writeHead(500).end()).listen(0, ownAddress());
  await once(scaler, 'listening');
  t.after(() => scaler.close());
  const { address, port } = scaler.address() as AddressInfo;
  const id = { namespace: 'default', name: 'fib' };
  for (const [scalerUrl, why] of [
    [`http://${address}:${port}`, /the scaler answered 500/],
    [`http://${ownAddress()}:${port}`, /ECONNREFUSED/],
  ] as const) {
    const { log, line } = recordingLog();
    createWake({ nats: { publish: () => false }, scalerUrl, podName: 'proxy-0', log })(id, 1);
    const { level, fields } = await line('NATS is down and so is the scaler');
    assert.deepEqual([level, fields['function'], fields['scalerUrl']], ['warn', id, scalerUrl]);
    assert.match(String(fields['error']), why);
  }
});

test('the scaler is asked by its address and by its name in turn, so that either may be out of date', async (t) => {
  const scaler = createServer((_req, res) => res.writeHead(202).end()).listen(0, ownAddress());
  await once(scaler, 'listening');
  t.after(() => scaler.close());
  const { address, port } = scaler.address() as AddressInfo;
  const id = { namespace: 'default', name: 'fib' };
  for (const [host, scalerAddress] of [
    [address, ownAddress()],
    ['no-such-name.invalid', address],
  ] as const) {
    const { log, line } = recordingLog();
    const scalerUrl = `http://${host}:${port}`;
    const wake = createWake({ nats: { publish: () => false }, scalerUrl, scalerAddress, podName: 'p', log });
    const asked = once(scaler, 'request');
    wake(id, 1);
    if (scalerAddress === address) {
      await asked;
      continue;
    }
    await line('NATS is down and so is the scaler');
    wake(id, 1);
    await asked;
  }
});
