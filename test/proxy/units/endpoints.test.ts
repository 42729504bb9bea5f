import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActivityMessage, ReadyMessage } from '../../../common/bus/messages.ts';
import { proveReady } from '../../../common/places/ready-proof.ts';
import { Endpoints } from '../../../proxy/pods/endpoints.ts';
import { viewPod, type PodView } from '../../../proxy/pods/pod-view.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { podView, specOf } from '../support/pods.ts';

const FIB = { namespace: 'default', name: 'fib' };
const OWNER = { kind: 'Deployment', id: FIB } as const;

function setUp() {
  const clock = new FakeClock();
  const gone: PodView[] = [];
  const groups: number[] = [];
  const endpoints = new Endpoints({
    clock,
    random: () => 0,
    onGone: ({ view }) => gone.push(view),
  });
  endpoints.onGroup((group) => groups.push(group.size));
  const ready = () => endpoints.group(OWNER).ready.map((endpoint) => endpoint.view.name);
  return { clock, gone, groups, endpoints, ready };
}

test('pods are grouped by owner, and two kinds of one name stay apart', () => {
  const { endpoints, ready } = setUp();
  endpoints.setPod(podView({ name: 'a' }));
  endpoints.setPod(podView({ name: 'b', owner: { kind: 'StatefulSet', id: FIB } }));
  assert.deepEqual(ready(), ['a']);
  endpoints.setPod(podView({ name: 'c', spec: undefined }));
  assert.deepEqual(ready(), ['a'], 'a pod of no function is not called');
});

test('a deleted pod is gone for its group and for its connections', () => {
  const { endpoints, ready, gone } = setUp();
  endpoints.setPod(podView({ name: 'a' }));
  endpoints.deletePod('default', 'a');
  endpoints.deletePod('default', 'a');
  assert.deepEqual(ready(), []);
  assert.deepEqual(
    gone.map((view) => view.name),
    ['a'],
  );
});

test('a group without function and pods is not kept', () => {
  const { endpoints } = setUp();
  for (let i = 0; i < 100; i++) {
    const owner = { kind: 'Other', id: { namespace: 'default', name: `job-${i}` } } as const;
    endpoints.setPod(podView({ name: `job-${i}`, owner }));
    endpoints.deletePod('default', `job-${i}`);
  }
  assert.equal(endpoints.groupCount, 0);
  const release = endpoints.group(OWNER).listen(() => undefined);
  endpoints.setPod(podView({ name: 'a' }));
  endpoints.deletePod('default', 'a');
  assert.equal(endpoints.groupCount, 1, 'its function may get pods again');
  release();
  endpoints.dropIfUnused(OWNER);
  assert.equal(endpoints.groupCount, 0);
});

test('ready is believed only of a known pod, its address and its function', () => {
  const { endpoints, ready } = setUp();
  endpoints.setPod(podView({ name: 'a', isKubeReady: false }));
  const say = (id: typeof FIB, pod: string, ip: string) =>
    endpoints.heardReady(id, { pod, ip, port: 15080, state: 'ready' });
  say(FIB, 'a', '10.0.0.2');
  say({ ...FIB, name: 'other' }, 'a', '10.0.0.1');
  say({ ...FIB, namespace: 'other' }, 'a', '10.0.0.1');
  assert.deepEqual(ready(), []);
  say(FIB, 'a', '10.0.0.1');
  assert.deepEqual(ready(), ['a']);
});

test('an early ready is kept for 10 s, for the pod with that address, also when the address comes later', () => {
  for (const [waitMs, ip, expected] of [
    [9_999, '10.0.0.1', ['a']],
    [10_000, '10.0.0.1', []],
    [0, '10.0.0.2', []],
  ] as const) {
    const { endpoints, ready, clock } = setUp();
    endpoints.setPod(podView({ name: 'a', ip: '', isKubeReady: false }));
    endpoints.heardReady(FIB, { pod: 'a', ip: '10.0.0.1', port: 15080, state: 'ready' });
    clock.advance(waitMs);
    endpoints.setPod(podView({ name: 'a', ip, isKubeReady: false }));
    assert.deepEqual(ready(), expected, `${waitMs} ms, ${ip}`);
  }
});

test('an address that its sidecar proves is used until Kubernetes reports one', () => {
  const { endpoints, ready, gone } = setUp();
  const pod = { name: 'a', ip: '', isKubeReady: false, token: 'secret' };
  const message: ReadyMessage = { pod: 'a', ip: '10.0.0.1', port: 15080, state: 'ready', start: 1, seq: 0 };
  const proven = { ...message, proof: proveReady('secret', message) };
  assert.equal(endpoints.heardDirectly(FIB, proven), 'unknown');
  endpoints.setPod(podView(pod));
  for (const proof of [undefined, '', 'x', proveReady('other', message), proveReady('', message)]) {
    assert.equal(
      endpoints.heardDirectly(FIB, { ...message, ...(proof !== undefined && { proof }) }),
      'unproven',
    );
    assert.deepEqual(ready(), []);
  }
  assert.equal(endpoints.heardDirectly(FIB, { ...proven, ip: '10.0.0.66' }), 'unproven', 'another address');
  assert.equal(endpoints.heardDirectly({ ...FIB, name: 'other' }, proven), 'unknown', 'another function');
  assert.equal(endpoints.heardDirectly(FIB, proven), 'believed');
  assert.deepEqual(ready(), ['a']);
  const [endpoint] = endpoints.group(OWNER).ready;
  assert.deepEqual(endpoint?.target, { host: '10.0.0.1', port: 15080 });
  endpoints.setPod(podView({ ...pod, ip: '10.0.0.1' }));
  assert.deepEqual(ready(), ['a'], 'the same address: nothing changes');
  endpoints.setPod(podView({ ...pod, ip: '10.0.0.2' }));
  assert.deepEqual(ready(), [], 'Kubernetes knows better: what was said was of another address');
  endpoints.deletePod('default', 'a');
  assert.equal(gone.length, 1);
});

test('a name for an address proves nothing; without a token nobody can prove anything', () => {
  const { endpoints, ready } = setUp();
  const message: ReadyMessage = { pod: 'a', ip: 'other.shop.svc', port: 15080, state: 'ready' };
  endpoints.setPod(podView({ name: 'a', ip: '', isKubeReady: false, token: 'secret' }));
  endpoints.heardDirectly(FIB, { ...message, proof: proveReady('secret', message) });
  endpoints.setPod(podView({ name: 'b', ip: '', isKubeReady: false, token: '' }));
  const ofB = { ...message, pod: 'b', ip: '10.0.0.1' };
  assert.equal(endpoints.heardDirectly(FIB, { ...ofB, proof: proveReady('', ofB) }), 'unproven');
  assert.deepEqual(ready(), []);
});

test('a proof that came over NATS before the watch showed the pod counts when it does', () => {
  const { endpoints, ready } = setUp();
  const message: ReadyMessage = { pod: 'a', ip: '10.0.0.1', port: 15080, state: 'ready' };
  endpoints.heardReady(FIB, { ...message, proof: proveReady('secret', message) });
  endpoints.setPod(podView({ name: 'a', ip: '', isKubeReady: false, token: 'secret' }));
  assert.deepEqual(ready(), ['a']);
  assert.equal(endpoints.earlyCount, 0);
});

test('early messages of pods that never come are bounded: the oldest goes', () => {
  const { endpoints, ready, clock } = setUp();
  const say = (pod: string) =>
    endpoints.heardReady(FIB, { pod, ip: '10.0.0.1', port: 15080, state: 'ready' });
  for (let i = 0; i < 1_500; i++) say(`never-${i}`);
  say('a');
  assert.deepEqual([endpoints.earlyCount, clock.pending], [1_000, 1_000]);
  endpoints.setPod(podView({ name: 'a', isKubeReady: false }));
  assert.deepEqual(ready(), ['a']);
  clock.advance(10_000);
  assert.deepEqual([endpoints.earlyCount, clock.pending], [0, 0]);
});

test('an early draining is not kept: it would hold for good, and for whom is not known', () => {
  const { endpoints, ready, clock } = setUp();
  endpoints.heardReady(FIB, { pod: 'a', ip: '10.0.0.1', port: 15080, state: 'draining' });
  endpoints.setPod(podView({ name: 'a' }));
  assert.deepEqual(ready(), ['a']);
  assert.equal(clock.pending, 0);
});

test('the same name with another uid is another pod', () => {
  const { endpoints, ready } = setUp();
  endpoints.setPod(podView({ name: 'a', uid: '1' }));
  endpoints.heardReady(FIB, { pod: 'a', ip: '10.0.0.1', port: 15080, state: 'draining' });
  endpoints.setPod(podView({ name: 'a', uid: '1' }));
  assert.deepEqual(ready(), []);
  endpoints.setPod(podView({ name: 'a', uid: '2' }));
  assert.deepEqual(ready(), ['a']);
});

test('shares and reports concern the function that they name, and reports of proxies no pod', () => {
  const { endpoints } = setUp();
  endpoints.setPod(podView({ name: 'a' }));
  const [pod] = endpoints.group(OWNER).ready;
  assert.ok(pod);
  endpoints.heardShare({ ...FIB, name: 'other' }, { limit: 9, shares: { a: 9 } });
  assert.equal(pod.limit, 10);
  endpoints.heardShare(FIB, { limit: 2, shares: { a: 2, unknown: 1 } });
  assert.equal(pod.limit, 2);
  const report: ActivityMessage = {
    source: 'proxy',
    pod: 'a',
    running: 5,
    runningNow: 5,
    ...NOTHING,
    limit: 5,
  };
  endpoints.heardActivity(FIB, report);
  assert.equal(pod.limit, 2);
  endpoints.heardActivity(FIB, { ...report, source: 'sidecar' });
  assert.deepEqual([pod.limit, pod.free], [5, 0]);
});

test('addresses tell who is inside: every pod that has the address must be trusted', () => {
  const { endpoints } = setUp();
  const untrusted = specOf({ 'SlimFaas/DefaultTrust': 'Untrusted' });
  endpoints.setPod(podView({ name: 'plain', spec: undefined, ip: '10.0.0.1' }));
  endpoints.setPod(podView({ name: 'host', spec: undefined, ip: '10.0.0.2', isHostNetwork: true }));
  endpoints.setPod(podView({ name: 'over', spec: undefined, ip: '10.0.0.3', isEnded: true }));
  endpoints.setPod(podView({ name: 'stranger', spec: untrusted, ip: '10.0.0.4' }));
  const inside = () => [1, 2, 3, 4, 5].filter((n) => endpoints.isTrustedAddress(`10.0.0.${n}`));
  assert.deepEqual(inside(), [1]);
  endpoints.setPod(podView({ name: 'plain', spec: undefined, ip: '10.0.0.5' }));
  assert.deepEqual(inside(), [5]);
  endpoints.setPod(podView({ name: 'stranger', spec: untrusted, ip: '10.0.0.5' }));
  assert.deepEqual(inside(), []);
  endpoints.deletePod('default', 'stranger');
  assert.deepEqual(inside(), [5]);
  endpoints.deletePod('default', 'plain');
  assert.deepEqual(inside(), []);
});

const NOTHING = { waiting: 0, started: 0, finished: 0, failed: 0, windowMs: 1_000 };

test('in a dual-stack cluster both addresses of a pod are inside, and neither when it is gone', () => {
  const { endpoints } = setUp();
  const view = viewPod({
    metadata: { name: 'a', namespace: 'default' },
    status: { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] },
  });
  endpoints.setPod(view as PodView);
  const inside = () => ['10.0.0.1', 'fd00::1', 'fd00::2'].filter((ip) => endpoints.isTrustedAddress(ip));
  assert.deepEqual(inside(), ['10.0.0.1', 'fd00::1']);
  endpoints.setPod({ ...(view as PodView), addresses: ['10.0.0.1', 'fd00::2'] });
  assert.deepEqual(inside(), ['10.0.0.1', 'fd00::2']);
  endpoints.deletePod('default', 'a');
  assert.deepEqual(inside(), []);
});
