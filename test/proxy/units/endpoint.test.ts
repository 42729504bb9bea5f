import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint } from '../../../proxy/pods/endpoint.ts';
import { podView, specOf } from '../support/pods.ts';

const perPod = (n: number, more: Record<string, string> = {}) =>
  specOf({ 'SlimFaas/NumberParallelRequestPerPod': String(n), ...more });

const kindOf = (pod: Endpoint): string => pod.state.kind;

test('a pod is starting until a sidecar or Kubernetes calls it ready', () => {
  const pod = new Endpoint(podView({ isKubeReady: false }));
  assert.deepEqual(pod.state, { kind: 'starting' });
  pod.heard({ state: 'ready' });
  assert.deepEqual(pod.state, { kind: 'ready', by: 'sidecar' });
  pod.update(podView({ isKubeReady: true }));
  assert.deepEqual(pod.state, { kind: 'ready', by: 'kubernetes' });
});

test('once Kubernetes has called it ready, Kubernetes alone decides', () => {
  const pod = new Endpoint(podView({ isKubeReady: false }));
  pod.heard({ state: 'ready' });
  pod.update(podView({ isKubeReady: true }));
  pod.update(podView({ isKubeReady: false }));
  assert.equal(pod.state.kind, 'starting');
  pod.heard({ state: 'ready' });
  assert.equal(pod.state.kind, 'starting');
});

test('draining is believed for good; terminating and ended pods take nothing', () => {
  const pod = new Endpoint(podView());
  pod.markDraining();
  pod.heard({ state: 'ready' });
  pod.update(podView());
  assert.equal(pod.state.kind, 'draining');
  assert.equal(new Endpoint(podView({ isTerminating: true })).state.kind, 'draining');
  assert.equal(new Endpoint(podView({ isEnded: true })).state.kind, 'gone');
});

test('draining holds for the run of the sidecar that said it, whatever order messages come in', () => {
  const pod = new Endpoint(podView());
  const say = (state: 'ready' | 'draining', start: number, seq: number) => pod.heard({ state, start, seq });
  say('draining', 1_000, 1);
  say('ready', 1_000, 0); // a repetition that was overtaken
  assert.equal(kindOf(pod), 'draining');
  say('ready', 2_000, 0);
  assert.equal(kindOf(pod), 'ready', 'its sidecar runs again');
  say('draining', 1_000, 1);
  assert.equal(kindOf(pod), 'ready', 'the last repetition of the run before');
  say('draining', 2_000, 1);
  say('ready', 2_000, 2);
  assert.equal(kindOf(pod), 'ready', 'it takes its own drain back');
});

test('a refusal that said draining is taken back by a later word too', () => {
  const pod = new Endpoint(podView());
  pod.heard({ state: 'ready', start: 1_000, seq: 0 });
  pod.markDraining();
  pod.heard({ state: 'ready', start: 1_000, seq: 0 });
  assert.equal(kindOf(pod), 'draining');
  pod.heard({ state: 'ready', start: 2_000, seq: 0 });
  assert.equal(kindOf(pod), 'ready');
});

test('a report of a later run ends what the run before said, also where nobody says ready', () => {
  const pod = new Endpoint(podView());
  pod.heard({ state: 'draining', start: 1_000, seq: 1 });
  assert.equal(pod.heardStart(1_000), false);
  assert.equal(pod.heardStart(undefined), false);
  assert.equal(kindOf(pod), 'draining');
  assert.equal(pod.heardStart(2_000), true);
  assert.equal(kindOf(pod), 'ready');
});

test('a sidecar of 0.1.0 says no numbers: its draining is for good, until a newer one runs in its pod', () => {
  const pod = new Endpoint(podView());
  pod.heard({ state: 'draining' });
  pod.heard({ state: 'ready' });
  assert.equal(kindOf(pod), 'draining');
  pod.heard({ state: 'ready', start: 1_000, seq: 0 });
  assert.equal(kindOf(pod), 'ready');
});

test('without an address or a port there is nothing to call', () => {
  assert.equal(new Endpoint(podView({ ip: '' })).state.kind, 'starting');
  assert.equal(new Endpoint(podView({ hasSidecar: false, port: undefined })).state.kind, 'starting');
});

test('a new address makes a new start of what its sidecar said', () => {
  const pod = new Endpoint(podView({ isKubeReady: false }));
  pod.heard({ state: 'ready' });
  pod.update(podView({ isKubeReady: false, ip: '10.0.0.2' }));
  assert.equal(pod.state.kind, 'starting');
});

test('places: what we run and what others run, until the pod says better', () => {
  const pod = new Endpoint(podView({ spec: perPod(4) }));
  assert.equal(pod.free, 4);
  pod.take();
  pod.take();
  assert.equal(pod.free, 2);
  pod.learned(3, 4); // two of ours and another's
  assert.equal(pod.free, 1);
  pod.giveBack();
  assert.equal(pod.free, 2);
  pod.learned(1, 4);
  assert.deepEqual([pod.free, pod.load], [3, 0.25]);
});

test('with a limit over all pods one place is sure until a share is heard, without a sidecar all', () => {
  const spec = perPod(4, { 'SlimFaas/NumberParallelRequest': '10' });
  const pod = new Endpoint(podView({ spec }));
  assert.equal(pod.free, 1);
  pod.shared(3);
  assert.equal(pod.free, 3);
  assert.equal(new Endpoint(podView({ spec, hasSidecar: false, port: 80 })).free, 4);
});

test('a refusal makes it full until the next news, whoever brings it', () => {
  const pod = new Endpoint(podView({ spec: perPod(4) }));
  pod.take();
  pod.giveBack();
  pod.refusedFull();
  assert.deepEqual([pod.free, pod.isWorthProbing], [0, true]);
  pod.probe();
  assert.equal(pod.free, 1);
  pod.take();
  assert.equal(pod.free, -1, 'one probe is one call');
  pod.giveBack();
  pod.learned(0, 4);
  assert.deepEqual([pod.free, pod.isWorthProbing], [4, false]);
});

test('a pod full of our own calls is not worth asking: we shall know when one ends', () => {
  const pod = new Endpoint(podView({ spec: perPod(1) }));
  pod.take();
  assert.deepEqual([pod.free, pod.isWorthProbing], [0, false]);
});

test('a pod without a sidecar is never asked beyond its limit: nobody would refuse', () => {
  const pod = new Endpoint(podView({ spec: perPod(1), hasSidecar: false, port: 80 }));
  pod.take();
  assert.equal(pod.isWorthProbing, false);
});

test('a pod that failed is suspect until it answers, reports or becomes ready again', () => {
  const recover: ((pod: Endpoint) => void)[] = [
    (pod) => pod.answered(),
    (pod) => pod.learned(0, 10),
    (pod) => pod.heard({ state: 'ready' }),
    (pod) => pod.update(podView({ ip: '10.0.0.9' })),
  ];
  for (const change of recover) {
    const pod = new Endpoint(podView());
    pod.failed('ECONNREFUSED');
    assert.deepEqual([pod.free, pod.suspicion, pod.isWorthProbing], [0, 'ECONNREFUSED', true]);
    change(pod);
    assert.equal(pod.suspicion, undefined);
    assert.ok(pod.free > 0);
  }
});

test('a place given back twice is a defect and is not hidden', () => {
  const pod = new Endpoint(podView());
  pod.take();
  pod.giveBack();
  assert.throws(() => pod.giveBack(), RangeError);
});

test('a pod whose app takes no calls stays under suspicion while its sidecar reports no room', () => {
  const pod = new Endpoint(podView());
  pod.appFailed('port 80 refuses connections: ECONNREFUSED');
  pod.learned(0, 0);
  assert.ok(pod.isAppDown);
  assert.equal(pod.suspicion, 'its app takes no calls: port 80 refuses connections: ECONNREFUSED');
  pod.learned(0, 4);
  assert.equal(pod.isAppDown, false);
  pod.appFailed(undefined);
  assert.equal(pod.suspicion, 'its app does not take calls');
  pod.heard({ state: 'ready' });
  assert.equal(pod.suspicion, undefined);
});

test('a Service’s target port is a number that there is, or the name of a port', () => {
  const pod = new Endpoint(podView());
  assert.deepEqual(
    ['8080', '65535', '0', '65536', '99999999999999999999', 'nothing'].map((target) => pod.portOf(target)),
    [8_080, 65_535, undefined, undefined, undefined, undefined],
  );
});
