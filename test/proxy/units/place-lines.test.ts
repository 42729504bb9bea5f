import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage, type ReadyMessage } from '../../../common/bus/messages.ts';
import { Endpoint } from '../../../proxy/pods/endpoint.ts';
import { PodGroup } from '../../../proxy/pods/pod-group.ts';
import type { LineHandlers, LineTarget } from '../../../proxy/pods/place-line.ts';
import { PlaceLines } from '../../../proxy/pods/place-lines.ts';
import type { PodView } from '../../../proxy/pods/pod-view.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { podView, specOf } from '../support/pods.ts';

interface Dialled {
  readonly target: LineTarget;
  readonly events: LineHandlers;
  /** Messages since the last look. */
  said(): string[];
  isClosed: boolean;
}

function setUp(pods: readonly Partial<PodView>[] = [{}], most = 100) {
  const clock = new FakeClock();
  const group = new PodGroup({ kind: 'Deployment', id: { namespace: 'd', name: 'f' } }, () => 0.3);
  const endpoints = pods.map((view, i) => {
    const endpoint = new Endpoint(
      podView({ name: `p${i}`, ip: `10.0.0.${i + 1}`, spec: specOf({}), ...view }),
    );
    group.add(endpoint);
    return endpoint;
  });
  group.refresh();
  const dialled: Dialled[] = [];
  const states: ReadyMessage[] = [];
  const budget = { open: 0, most };
  const lines = new PlaceLines({
    pods: group,
    clock,
    budget,
    onState: (_endpoint, message) => void states.push(message),
    open: (target, events) => {
      const messages: string[] = [];
      const one: Dialled = { target, events, said: () => messages.splice(0), isClosed: false };
      dialled.push(one);
      return { send: (message) => void messages.push(message), close: () => void (one.isClosed = true) };
    },
  });
  const [endpoint] = endpoints as [Endpoint];
  const dial = (nth = 0): Dialled => dialled[nth] ?? assert.fail(`dialled ${dialled.length} times`);
  const openFirst = (waiting: number): Dialled => {
    lines.update(waiting);
    clock.advance(10);
    dial().events.opened();
    return dial();
  };
  return { clock, group, endpoints, endpoint, dialled, dial, states, budget, lines, openFirst };
}

describe('proxy: place lines', () => {
  it('no line before somebody waits; then one to each pod, whose count is told', () => {
    const t = setUp([{}, {}]);
    t.lines.update(0);
    t.clock.advance(10_000);
    assert.equal(t.dialled.length, 0);
    const line = t.openFirst(3);
    assert.deepEqual(line.said(), ['waiting 3']);
    assert.deepEqual(
      t.dialled.map(({ target }) => [target.host, target.identity]),
      [
        ['10.0.0.1', 'default/p0'],
        ['10.0.0.2', 'default/p1'],
      ],
    );
  });

  it('while calls wait a pod with a line is not guessed at; grants alone count', () => {
    const t = setUp();
    t.openFirst(1);
    assert.deepEqual([t.endpoint.free, t.endpoint.isWorthProbing], [0, false]);
    t.lines.update(0);
    assert.ok(t.endpoint.free > 0, 'who finds nobody waiting takes what he believes to be free');
  });

  it('a grant goes to who takes it, else it is given back at once', () => {
    const t = setUp();
    const line = t.openFirst(2);
    line.said();
    const grants: (string | undefined)[] = [];
    const release = t.group.listen(() => grants.push(t.group.take()?.grant));
    line.events.place('7');
    assert.deepEqual(grants, ['7']);
    assert.ok(!line.said().includes('back 7'));
    release();
    line.events.place('8');
    assert.ok(line.said().includes('back 8'));
  });

  it('a burst of arrivals is one message; told less than half, a pod hears at once', () => {
    const t = setUp();
    const line = t.openFirst(4);
    line.said();
    for (const waiting of [5, 6, 7]) t.lines.update(waiting);
    assert.deepEqual(line.said(), []);
    t.clock.advance(10);
    assert.deepEqual(line.said(), ['waiting 7']);
    t.lines.update(14);
    assert.deepEqual(line.said(), ['waiting 14']);
  });

  it('a count is repeated each second while calls wait, and 0 is told once', () => {
    const t = setUp();
    const line = t.openFirst(2);
    line.said();
    t.clock.advance(2_500);
    assert.deepEqual(line.said(), ['waiting 2', 'waiting 2']);
    t.lines.update(0);
    t.clock.advance(2_000);
    assert.deepEqual(line.said(), ['waiting 0']);
  });

  it('five seconds after the last call waited the line closes, and opens with the next', () => {
    const t = setUp();
    const line = t.openFirst(1);
    t.lines.update(0);
    t.clock.advance(7_000);
    assert.ok(line.isClosed);
    assert.deepEqual([t.budget.open, t.clock.pending], [0, 0]);
    t.lines.update(1);
    t.clock.advance(10);
    assert.equal(t.dialled.length, 2);
  });

  it('a pod that starts is asked again within some tens of ms, and listened to only', () => {
    const t = setUp([{ isKubeReady: false }]);
    t.lines.update(3);
    t.clock.advance(10);
    for (let i = 0; i < 4; i++) {
      t.dial(i).events.ended('unreached');
      t.clock.advance(25);
      assert.equal(t.dialled.length, i + 2);
    }
    t.dial(4).events.opened();
    assert.deepEqual(t.dial(4).said(), []);
    const ready: ReadyMessage = { pod: 'p0', ip: '10.0.0.1', port: 15080, state: 'ready' };
    t.dial(4).events.state(Buffer.from(encodeMessage({ ...ready, pod: 'other' })));
    t.dial(4).events.state(Buffer.from(encodeMessage({ ...ready, ip: '10.0.0.9' })));
    t.dial(4).events.state(Buffer.from('nonsense'));
    assert.deepEqual(t.states, [], 'only its own word about itself');
    t.endpoint.heard(ready);
    t.dial(4).events.state(Buffer.from(encodeMessage(ready)));
    assert.deepEqual(t.states, [ready]);
    assert.deepEqual(t.dial(4).said(), ['waiting 3']);
  });

  it('a pod that cannot be reached there is asked ever more rarely, and probed meanwhile', () => {
    const t = setUp();
    t.lines.update(1);
    t.clock.advance(10);
    for (let i = 0; i < 60; i++) {
      t.dialled.at(-1)?.events.ended('unreached');
      t.clock.advance(1_000);
      t.lines.update(1);
    }
    assert.ok(t.dialled.length <= 61, `${t.dialled.length} dials in 60 s`);
    assert.ok(t.endpoint.free > 0);
  });

  it('a sidecar without place lines is left alone for half a minute', () => {
    const t = setUp();
    t.lines.update(1);
    t.clock.advance(10);
    t.dial().events.ended('unsupported');
    t.clock.advance(29_000);
    assert.equal(t.dialled.length, 1);
    t.clock.advance(2_000);
    assert.equal(t.dialled.length, 2);
  });

  it('another pod at the address: this one is gone until the watch brings a new address', () => {
    const t = setUp();
    t.lines.update(1);
    t.clock.advance(10);
    t.dial().events.ended('elsewhere');
    assert.equal(t.endpoint.state.kind, 'gone');
    assert.deepEqual(t.group.ready, []);
    t.clock.advance(5_000);
    assert.equal(t.dialled.length, 1);
    t.endpoint.update(podView({ name: 'p0', ip: '10.0.0.77' }));
    assert.equal(t.endpoint.state.kind, 'ready');
  });

  it('pods without a sidecar, draining or without an address have no line', () => {
    const t = setUp([{ hasSidecar: false }, { isTerminating: true }, { ip: '', isKubeReady: false }]);
    t.lines.update(5);
    t.clock.advance(1_000);
    assert.equal(t.dialled.length, 0);
  });

  it('the bounds: 64 lines a function, and those of all functions together', () => {
    const many = Array.from({ length: 100 }, () => ({}));
    const t = setUp(many);
    t.lines.update(1);
    t.clock.advance(10);
    assert.equal(t.dialled.length, 64);
    t.lines.stop();
    assert.equal(t.budget.open, 0);
    const few = setUp(many, 3);
    few.lines.update(1);
    few.clock.advance(10);
    assert.equal(few.dialled.length, 3);
  });

  it('a share that the proxy has heard goes to the pod with the count', () => {
    const t = setUp();
    t.endpoint.shared(2);
    const line = t.openFirst(1);
    assert.deepEqual(line.said(), ['waiting 1', 'share {"limit":2,"shares":{"p0":2}}']);
    t.clock.advance(1_000);
    assert.deepEqual(line.said(), ['waiting 1']);
    t.endpoint.shared(3);
    t.lines.update(1);
    t.clock.advance(1_000);
    assert.ok(line.said().includes('share {"limit":3,"shares":{"p0":3}}'));
  });
});
