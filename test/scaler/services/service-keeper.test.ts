/** Which EndpointSlices should exist, and what they should name, at each moment of a function's life. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1EndpointSlice, V1Pod, V1Service } from '../../../common/kube/client.ts';
import { PortRange } from '../../../scaler/services/ports.ts';
import { ServiceFaults } from '../../../scaler/faults/service-faults.ts';
import { ServiceKeeper } from '../../../scaler/services/service-keeper.ts';
import { readWorkload } from '../../../common/kube/model/workload.ts';
import { podOf } from '../../../scaler/world/kube-objects.ts';
import { World } from '../../../scaler/world/world.ts';

const IP = '10.0.0.1';

class Fixture {
  readonly world = new World();
  readonly slices = new Map<string, V1EndpointSlice>();
  readonly told: string[] = [];
  now = 0;
  mayAct = true;
  mayMissReports = false;
  isBusy = false;
  isTaken = false;
  /** How many writes are allowed still. */
  left = Infinity;
  ownerUid = 'o';
  writes = 0;
  /** At workloads, and at slices that may have to be written. */
  looks = 0;
  built = 0;
  #version = 0;
  readonly serviceFaults = new ServiceFaults(true);
  readonly keeper: ServiceKeeper;

  constructor(ports = new PortRange(20_000, 20_009)) {
    const write = (key: string, body: V1EndpointSlice): void => {
      this.writes++;
      this.left--;
      const metadata = { uid: key, ...body.metadata, resourceVersion: String(++this.#version) };
      this.slices.set(key, { ...body, metadata });
      this.keeper.onSlice({ ...body, metadata });
    };
    const podsOf = this.world.podsOf.bind(this.world);
    this.world.podsOf = (workload) => (this.looks++, podsOf(workload));
    const workload = this.world.workload.bind(this.world);
    this.world.workload = (key) => (this.looks++, workload(key));
    this.keeper = new ServiceKeeper({
      world: this.world,
      ports,
      writes: {
        isBusy: () => (this.built++, this.isBusy || this.left <= 0),
        isTaken: () => this.isTaken,
        create: (key, body) => {
          if (!this.isTaken) write(key, body);
        },
        replace: write,
        remove: (key) => {
          this.writes++;
          this.slices.delete(key);
          this.keeper.onSliceGone(key);
        },
      },
      faults: this.serviceFaults,
      installation: 'slimfaas',
      owner: () => ({ apiVersion: 'v1', kind: 'ClusterRole', name: 'owner', uid: this.ownerUid }),
      mayAct: () => this.mayAct,
      mayMissReports: () => this.mayMissReports,
      onFaultsChanged: ({ key }) => this.told.push(key),
      now: () => this.now,
    });
  }

  fn(
    name: string,
    { replicas = 0, services = 'wake', labels = { app: name } as Record<string, string> } = {},
  ): void {
    const annotations = { 'SlimFaas/Function': 'true', 'slimfaas.dev/services': services };
    const object = {
      metadata: { name, namespace: 'default', uid: name, resourceVersion: String(++this.#version) },
      spec: { replicas, selector: {}, template: { metadata: { annotations, labels } } },
    };
    const before = this.world.workloadOfOwner(`Deployment/default/${name}`);
    this.world.setWorkload(readWorkload('Deployment', object, before));
  }

  pod(fn: string, state: { ready?: boolean; ending?: boolean } = {}): void {
    const owner = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: `${fn}-abc`,
      uid: 'r',
      controller: true,
    };
    const pod = podOf({
      metadata: {
        name: `${fn}-abc-1`,
        namespace: 'default',
        labels: { 'pod-template-hash': 'abc' },
        ownerReferences: [owner],
        ...(state.ending ? { deletionTimestamp: new Date(0) } : {}),
      },
      status: { conditions: [{ type: 'Ready', status: state.ready === false ? 'False' : 'True' }] },
    });
    assert.ok(pod);
    this.world.setPod(pod);
  }

  service(name: string, spec: V1Service['spec'] = {}): void {
    this.keeper.onService({
      metadata: { name, namespace: 'default' },
      spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
    });
  }

  proxy(name: string, state: { ip?: string; ready?: boolean; ending?: boolean } = {}): void {
    const pod: V1Pod = {
      metadata: {
        name,
        namespace: 'slimfaas',
        uid: name,
        ...(state.ending ? { deletionTimestamp: new Date(0) } : {}),
      },
      spec: { nodeName: 'node-1', containers: [] },
      status: {
        podIP: state.ip ?? IP,
        conditions: [{ type: 'Ready', status: state.ready === false ? 'False' : 'True' }],
      },
    };
    this.keeper.onProxy(pod);
  }

  listens(name: string, ...ports: number[]): void {
    this.keeper.heard({ pod: name, ports });
  }

  /** A function at zero with a Service, and a proxy that listens for it. */
  static asleep(): Fixture {
    const f = new Fixture();
    f.fn('shop');
    f.service('shop');
    f.proxy('proxy-a');
    f.keeper.pass();
    f.listens('proxy-a', 20_000);
    return f.calm();
  }

  /** Until there is nothing to do. */
  calm(): this {
    for (let pass = 0; pass < 3; pass++) this.keeper.pass();
    return this;
  }

  /** The same function with a pod that has been ready for long. */
  static awake(): Fixture {
    const f = Fixture.asleep();
    f.fn('shop', { replicas: 1 });
    f.pod('shop');
    f.keeper.pass();
    f.now = 4_000;
    f.listens('proxy-a', 20_000);
    f.keeper.pass();
    assert.equal(f.leads(), false);
    return f.calm();
  }

  addresses(service = 'shop'): string[] | undefined {
    return this.slices.get(`default/${service}-slimfaas`)?.endpoints?.flatMap(({ addresses }) => addresses);
  }

  /** Whether new connections go to the proxies, and not only where there is nobody else. */
  leads(service = 'shop'): boolean | undefined {
    return this.slices
      .get(`default/${service}-slimfaas`)
      ?.endpoints?.some(({ conditions }) => conditions?.ready === true);
  }

  faults(fn = 'shop'): string {
    return this.serviceFaults.of(`default/${fn}`, { services: 'wake' })[0]?.message ?? '';
  }
}

describe('the slice of a Service', () => {
  test('is made with its port first, and names a proxy once that listens', () => {
    const f = new Fixture();
    f.fn('shop');
    f.service('shop', { ports: [{ name: 'web', port: 80, targetPort: 'http' }] });
    f.proxy('proxy-a');
    f.keeper.pass();
    assert.deepEqual(f.addresses(), []);
    f.listens('proxy-a', 1);
    f.keeper.pass();
    assert.deepEqual(f.addresses(), [], 'another port is not its');
    f.listens('proxy-a', 20_000);
    f.keeper.pass();
    const { metadata, ports, endpoints, addressType } = f.slices.get(
      'default/shop-slimfaas',
    ) as V1EndpointSlice;
    assert.deepEqual(metadata?.labels, {
      'kubernetes.io/service-name': 'shop',
      'endpointslice.kubernetes.io/managed-by': 'slimfaas.dev',
      'slimfaas.dev/installation': 'slimfaas',
    });
    assert.equal(metadata.annotations?.['slimfaas.dev/target-ports'], '{"web":"http"}');
    assert.equal(metadata.ownerReferences?.[0]?.kind, 'ClusterRole');
    assert.deepEqual(ports, [{ name: 'web', port: 20_000, protocol: 'TCP' }]);
    assert.equal(addressType, 'IPv4');
    assert.deepEqual(endpoints, [
      {
        addresses: [IP],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: 'node-1',
        targetRef: { kind: 'Pod', name: 'proxy-a', namespace: 'slimfaas', uid: 'proxy-a' },
      },
    ]);
  });

  test('is not written again while nothing changes', () => {
    const f = Fixture.asleep();
    const { writes } = f;
    f.keeper.pass();
    f.keeper.pass();
    assert.equal(f.writes, writes);
  });

  test('leads to the proxies still for some seconds after a pod is ready; then they stand behind it', () => {
    const f = Fixture.asleep();
    f.fn('shop', { replicas: 1 });
    f.pod('shop', { ready: false });
    f.keeper.pass();
    assert.equal(f.leads(), true);
    f.pod('shop');
    f.keeper.pass();
    f.now = 2_900;
    f.listens('proxy-a', 20_000);
    f.keeper.pass();
    assert.equal(f.leads(), true);
    f.now = 3_000;
    f.keeper.pass();
    assert.equal(f.leads(), false);
    const slice = f.slices.get('default/shop-slimfaas');
    // Kubernetes takes such an endpoint only where a Service has no ready one.
    const conditions = { ready: false, serving: true, terminating: true };
    assert.deepEqual(
      slice?.endpoints?.map((endpoint) => [endpoint.addresses, endpoint.conditions]),
      [[[IP], conditions]],
    );
    assert.equal(slice?.ports?.[0]?.port, 20_000);
    assert.equal(f.keeper.counts.asleep, 0);
  });

  test('leads to the proxies as soon as the count is 0, while the pods are there', () => {
    const f = Fixture.awake();
    f.fn('shop', { replicas: 0 });
    f.keeper.pass();
    assert.equal(f.leads(), true);
    assert.equal(f.keeper.counts.asleep, 1);
  });

  test('leads to them when the only ready pod ends', () => {
    const f = Fixture.awake();
    f.pod('shop', { ending: true });
    f.keeper.pass();
    assert.equal(f.leads(), true);
  });

  test('of a function that is awake names a new proxy, and no longer one that has gone', () => {
    const f = Fixture.awake();
    f.proxy('proxy-b', { ip: '10.0.0.2' });
    f.listens('proxy-b', 20_000);
    f.keeper.onProxyGone({ metadata: { name: 'proxy-a' } });
    f.keeper.pass();
    assert.deepEqual([f.addresses(), f.leads()], [['10.0.0.2'], false]);
  });

  test('goes with the Service, with the annotation, and comes back with a port that was not used', () => {
    const f = Fixture.asleep();
    f.keeper.onServiceGone({ metadata: { namespace: 'default', name: 'shop' } });
    f.keeper.pass();
    assert.equal(f.slices.size, 0);
    f.service('shop');
    f.keeper.pass();
    assert.equal(f.slices.get('default/shop-slimfaas')?.ports?.[0]?.port, 20_001);
    f.fn('shop', { services: 'ignore' });
    f.keeper.pass();
    assert.equal(f.slices.size, 0);
  });

  test('that somebody changed is put right', () => {
    const f = Fixture.asleep();
    const slice = f.slices.get('default/shop-slimfaas') as V1EndpointSlice;
    const metadata = { ...slice.metadata, resourceVersion: '900' };
    f.keeper.onSlice({ ...slice, metadata, endpoints: [{ addresses: ['10.9.9.9'] }] });
    const { writes } = f;
    f.keeper.pass();
    assert.equal(f.writes, writes + 1);
    assert.deepEqual(f.addresses(), [IP]);
  });

  test('that was older news is not taken, however large versions are', () => {
    const f = Fixture.asleep();
    const slice = f.slices.get('default/shop-slimfaas') as V1EndpointSlice;
    const versioned = (resourceVersion: string, addresses: string[]): V1EndpointSlice => ({
      ...slice,
      metadata: { ...slice.metadata, resourceVersion },
      endpoints: addresses.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
    });
    f.mayAct = false;
    f.keeper.onSlice(versioned('90071992547409930001', [IP]));
    assert.equal(f.keeper.counts.asleep, 1);
    f.keeper.onSlice(versioned('90071992547409930000', []));
    assert.equal(f.keeper.counts.asleep, 1);
    f.keeper.onSlice(versioned('90071992547409930002', []));
    assert.equal(f.keeper.counts.asleep, 0);
  });

  test('keeps its ports when the scaler starts again', () => {
    const f = Fixture.asleep();
    const slice = f.slices.get('default/shop-slimfaas') as V1EndpointSlice;
    const g = new Fixture();
    g.keeper.onSlice({ ...slice, ports: [{ name: '', port: 20_007, protocol: 'TCP' }] });
    g.fn('shop');
    g.service('shop');
    g.proxy('proxy-a', { ip: '10.0.0.5' });
    g.listens('proxy-a', 20_007);
    g.keeper.pass();
    assert.equal(g.slices.get('default/shop-slimfaas')?.ports?.[0]?.port, 20_007);
    assert.deepEqual(g.addresses(), ['10.0.0.5']);
  });

  test('keeps the port that another leader gave it, whatever this scaler knew of that port before', () => {
    const f = Fixture.asleep();
    const slice = f.slices.get('default/shop-slimfaas') as V1EndpointSlice;
    f.mayAct = false;
    f.keeper.pass();
    // Meanwhile the leader gives the port to another Service, and another port to this one.
    f.fn('bank');
    f.service('bank');
    const { metadata } = slice;
    const bank = { ...metadata, name: 'bank-slimfaas', uid: 'bank', labels: { ...metadata?.labels } };
    bank.labels['kubernetes.io/service-name'] = 'bank';
    const record = (written: V1EndpointSlice): void => {
      f.slices.set(`default/${written.metadata?.name}`, written);
      f.keeper.onSlice(written);
    };
    const at = (port: number) => [{ name: '', port, protocol: 'TCP' }];
    record({ metadata: bank, addressType: 'IPv4', endpoints: [], ports: at(20_000) });
    record({ ...slice, metadata: { ...metadata, resourceVersion: '900' }, ports: at(20_004) });
    assert.equal(f.keeper.freePorts, 8);
    f.mayAct = true;
    f.listens('proxy-a', 20_000, 20_004);
    f.keeper.pass();
    const portOf = (service: string) => f.slices.get(`default/${service}-slimfaas`)?.ports?.[0]?.port;
    assert.deepEqual([portOf('shop'), portOf('bank')], [20_004, 20_000]);
    assert.deepEqual([f.addresses(), f.addresses('bank')], [[IP], [IP]]);
    assert.equal(f.keeper.freePorts, 8);
  });

  test('is written again when its owner was made again', () => {
    const f = Fixture.asleep();
    f.ownerUid = 'another';
    f.keeper.pass();
    const slice = f.slices.get('default/shop-slimfaas');
    assert.equal(slice?.metadata?.ownerReferences?.[0]?.uid, 'another');
  });

  test('follows the labels of the pods, though no annotation changes', () => {
    const f = Fixture.asleep();
    f.fn('shop', { labels: { app: 'other' } });
    f.keeper.pass();
    assert.equal(f.slices.size, 0);
    f.fn('shop');
    f.keeper.pass();
    assert.equal(f.slices.size, 1);
  });

  test('is written, and goes, as soon as writes are allowed again, though nothing else changes', () => {
    const f = Fixture.asleep();
    f.fn('bank');
    f.service('bank');
    f.isBusy = true;
    f.calm();
    f.isBusy = false;
    f.keeper.pass();
    assert.ok(f.slices.has('default/bank-slimfaas'));
    f.keeper.onServiceGone({ metadata: { namespace: 'default', name: 'bank' } });
    f.isBusy = true;
    f.calm();
    f.isBusy = false;
    f.keeper.pass();
    assert.ok(!f.slices.has('default/bank-slimfaas'));
  });

  test('of somebody else under its name: the workload says so until it is gone', () => {
    const f = Fixture.asleep();
    f.fn('bank');
    f.service('bank');
    f.isTaken = true;
    f.keeper.pass();
    const fault =
      /Service default\/bank does not wake it: .*EndpointSlice default\/bank-slimfaas of somebody else/;
    assert.match(f.faults('bank'), fault);
    f.isBusy = true;
    f.keeper.pass();
    assert.match(f.faults('bank'), fault, 'also until it is tried again');
    f.isBusy = false;
    f.isTaken = false;
    f.keeper.pass();
    assert.equal(f.faults('bank'), '');
    assert.ok(f.slices.has('default/bank-slimfaas'));
  });

  test('is not looked at while nothing changes, and alone when only its function does', () => {
    const f = new Fixture(new PortRange(20_000, 20_099));
    for (let i = 0; i < 50; i++) {
      f.fn(`fn-${i}`);
      f.service(`fn-${i}`);
    }
    f.proxy('proxy-a');
    const all = Array.from({ length: 100 }, (_, i) => 20_000 + i);
    for (let i = 0; i < 3; i++) {
      f.listens('proxy-a', ...all);
      f.keeper.pass();
    }
    const { looks, writes } = f;
    for (let i = 0; i < 10; i++) {
      f.now += 1_000;
      f.listens('proxy-a', ...all);
      f.keeper.pass();
    }
    assert.deepEqual([f.looks, f.writes], [looks, writes]);
    f.built = 0;
    f.fn('fn-7', { replicas: 1 });
    f.pod('fn-7');
    f.now += 1_000;
    f.listens('proxy-a', ...all);
    f.keeper.pass();
    f.now += 3_000;
    f.keeper.pass();
    assert.equal(f.writes, writes + 1);
    assert.ok(f.built <= 4, `${f.built} slices were worked out`);
  });

  test('nothing is written by a follower, or while something is not known', () => {
    const f = new Fixture();
    f.mayAct = false;
    f.fn('shop');
    f.service('shop');
    f.proxy('proxy-a');
    f.keeper.pass();
    assert.equal(f.writes, 0);
  });
});

describe('proxies', () => {
  test('another one is written for functions that sleep first, where few writes are allowed', () => {
    const f = Fixture.awake();
    f.fn('asleep');
    f.service('asleep');
    f.keeper.pass();
    f.listens('proxy-a', 20_000, 20_001);
    f.keeper.pass();
    assert.deepEqual([f.leads('shop'), f.leads('asleep')], [false, true]);
    f.keeper.onProxyGone({ metadata: { name: 'proxy-a' } });
    f.proxy('proxy-b', { ip: '10.0.0.2' });
    f.listens('proxy-b', 20_000, 20_001);
    f.left = 1;
    f.keeper.pass();
    assert.deepEqual([f.addresses('shop'), f.addresses('asleep')], [[IP], ['10.0.0.2']]);
    f.left = 1;
    f.keeper.pass();
    assert.deepEqual(f.addresses('shop'), ['10.0.0.2']);
  });

  test('one that falls silent, or whose pod is not ready, is named no more', () => {
    const f = Fixture.asleep();
    f.now = 5_001;
    f.keeper.pass();
    assert.deepEqual(f.addresses(), []);
    f.listens('proxy-a', 20_000);
    f.keeper.pass();
    assert.deepEqual(f.addresses(), [IP]);
    f.proxy('proxy-a', { ready: false });
    f.keeper.pass();
    assert.deepEqual(f.addresses(), []);
  });

  test('silence of NATS says nothing: who is named and ready stays, and nobody comes', () => {
    const f = Fixture.asleep();
    f.mayMissReports = true;
    f.now = 60_000;
    f.proxy('proxy-b', { ip: '10.0.0.2' });
    f.keeper.pass();
    assert.deepEqual(f.addresses(), [IP]);
  });

  test('one that ends is named only until another one listens', () => {
    const f = Fixture.asleep();
    f.proxy('proxy-a', { ending: true });
    f.keeper.pass();
    assert.deepEqual(f.addresses(), [IP]);
    f.proxy('proxy-b', { ip: '10.0.0.2' });
    f.listens('proxy-b', 20_000);
    f.keeper.pass();
    assert.deepEqual(f.addresses(), ['10.0.0.2']);
  });

  test('a stranger that says to listen is not named', () => {
    const f = Fixture.asleep();
    f.listens('stranger', 20_000);
    f.keeper.pass();
    assert.deepEqual(f.addresses(), [IP]);
  });
});

describe('a Service that is left alone, and why', () => {
  for (const [what, spec, why] of [
    ['headless', { clusterIP: 'None' }, /headless/],
    ['for pods that are not ready', { publishNotReadyAddresses: true }, /publishNotReadyAddresses/],
    ['local to a node', { internalTrafficPolicy: 'Local' }, /internalTrafficPolicy: Local/],
    ['of UDP alone', { ports: [{ port: 53, protocol: 'UDP' }] }, /no TCP port/],
    ['of another family', { ipFamilies: ['IPv6'] }, /IPv6 only/],
  ] as const)
    test(what, () => {
      const f = new Fixture();
      f.fn('shop');
      f.service('shop', spec as V1Service['spec']);
      f.proxy('proxy-a');
      f.keeper.pass();
      assert.equal(f.slices.size, 0);
      assert.match(f.faults(), why);
      assert.deepEqual(f.told, ['default/shop']);
      f.service('shop');
      f.keeper.pass();
      assert.equal(f.faults(), '');
      assert.deepEqual(f.told, ['default/shop', 'default/shop']);
    });

  test('of several functions', () => {
    const f = new Fixture();
    for (const name of ['a', 'b', 'c']) f.fn(name, { labels: { app: name, tier: 'web' } });
    f.service('all', { selector: { tier: 'web' } });
    f.proxy('proxy-a');
    f.keeper.pass();
    assert.equal(f.slices.size, 0);
    for (const name of ['a', 'b', 'c']) assert.match(f.faults(name), /several functions \(a, b, c\)/);
  });

  test('for which no port is left', () => {
    const f = new Fixture(new PortRange(20_000, 20_000));
    f.proxy('proxy-a');
    for (const name of ['shop', 'late']) {
      f.fn(name);
      f.service(name);
    }
    f.keeper.pass();
    assert.deepEqual([...f.slices.keys()], ['default/shop-slimfaas']);
    assert.match(f.faults('late'), /no port/);
  });

  test('without a selector, without a function, in another namespace: not ours, and no fault', () => {
    const f = new Fixture();
    f.fn('shop');
    f.service('bare', { selector: {} });
    f.service('other', { selector: { app: 'other' } });
    f.keeper.onService({
      metadata: { name: 'shop', namespace: 'else' },
      spec: { selector: { app: 'shop' } },
    });
    f.proxy('proxy-a');
    f.keeper.pass();
    assert.equal(f.slices.size, 0);
    assert.equal(f.faults(), '');
  });

  test('a dual-stack one is served in the family that the proxies have', () => {
    const f = new Fixture();
    f.fn('shop');
    f.service('shop', { ipFamilies: ['IPv6', 'IPv4'], ports: [{ port: 80 }] });
    f.proxy('proxy-a');
    f.keeper.pass();
    assert.equal(f.slices.get('default/shop-slimfaas')?.addressType, 'IPv4');
    assert.equal(f.faults(), '');
  });

  test('UDP ports beside TCP ones are left alone', () => {
    const f = new Fixture();
    f.fn('shop');
    f.service('shop', {
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'web', port: 80, targetPort: 8080 },
      ],
    });
    f.proxy('proxy-a');
    f.keeper.pass();
    assert.deepEqual(f.slices.get('default/shop-slimfaas')?.ports, [
      { name: 'web', port: 20_000, protocol: 'TCP' },
    ]);
    assert.equal(f.faults(), '');
  });
});
