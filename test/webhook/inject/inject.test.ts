import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import { sidecarMemory } from '../../../webhook/inject/sidecar-resources.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import type { CallPolicy } from '../../../common/call/policy.ts';
import type { V1Container, V1Pod, V1PodSpec, V1Probe } from '../../../common/kube/client.ts';
import { ownerOfPod } from '../../../common/kube/model/ownership.ts';
import { sidecarFlags } from '../../../common/function/sidecar-flags.ts';
import { sidecarDefaultsOf, webhookFlags } from '../../../webhook/flags.ts';
import { functionLabelValue } from '../../../webhook/inject/function-label.ts';
import { injectPod, type InjectOptions, type Injection } from '../../../webhook/inject/inject.ts';
import { matchPod } from '../../../webhook/inject/match.ts';
import { quantity, sidecarResources } from '../../../webhook/inject/sidecar-resources.ts';
import { brokenRestrictedRules } from '../pod-rules.ts';
import { DRAIN_TOKEN, fixture, FIXTURES, OPTIONS, review, sidecarEnv, sidecarOf } from '../reviews.ts';

/** A Deployment's pod with these annotations and spec. */
function inject(
  annotations: Record<string, string> = {},
  spec: Partial<V1Pod['spec'] & object> = {},
  options: InjectOptions = OPTIONS,
): Injection {
  const pod: V1Pod = {
    metadata: {
      annotations: { 'SlimFaas/Function': 'true', ...annotations },
      labels: { 'pod-template-hash': 'abc' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-abc', uid: 'u', controller: true },
      ],
    },
    spec: { containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }], ...spec },
  };
  const owner = ownerOfPod(pod, 'shop');
  assert.ok(owner);
  return injectPod(pod, owner, parseAnnotations(pod.metadata?.annotations ?? {}), options);
}

/** Of the containers that are probed, in their order; undefined: Kubernetes decides. */
function probesOf(pod: V1Pod): { startup?: V1Probe; readiness?: V1Probe }[] | undefined {
  const text = sidecarEnv(pod)['SLIMFAAS_PROBES'] ?? '';
  return text === 'kubernetes' ? undefined : JSON.parse(text);
}

describe('direct traffic', () => {
  const httpGet = { path: '/', port: 8080 };
  const APP = {
    name: 'app',
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet, periodSeconds: 1, timeoutSeconds: 3 },
    livenessProbe: { tcpSocket: { port: 8080 } },
    startupProbe: { httpGet },
  };
  const of = (annotations: Record<string, string>, ...containers: V1Container[]) => {
    const env = sidecarEnv(
      inject({ 'slimfaas.dev/direct-traffic': 'count', ...annotations }, { containers }).pod,
    );
    const names = ['TRAFFIC', 'PROBES', 'IGNORE', 'IDLE_SECONDS'];
    return names.map((name) => env[`SLIMFAAS_DIRECT_${name}`]);
  };

  it('the sidecar is given the probes that go on and connect to the pod', () => {
    const probes = {
      readinessProbe: { exec: { command: ['true'] } },
      livenessProbe: { httpGet: { ...httpGet, host: 'other' } },
    };
    const expected = ['count', '10:1,1:3', undefined, '3600'];
    assert.deepEqual(of({}, APP, { name: 'helper', ...probes }), expected);
  });

  it('a port for metrics is ignored; on the app’s port scrapes have a rate', () => {
    const scrape = { 'prometheus.io/scrape': 'true', 'slimfaas.dev/direct-ignore': '10.1.0.0/16, :1' };
    const app = { name: 'app', ports: APP.ports };
    assert.deepEqual(of(scrape, app)[1], '5:2');
    const other = of({ ...scrape, 'prometheus.io/port': '9100' }, app);
    assert.deepEqual(other, ['count', undefined, '10.1.0.0/16,:1,:9100', '3600']);
  });

  it('is looked at four times per idle timeout at least, where that is short', () => {
    const look = (seconds: string) => {
      const annotations = {
        'slimfaas.dev/direct-traffic': 'count',
        'SlimFaas/TimeoutSecondBeforeSetReplicasMin': seconds,
      };
      return sidecarEnv(inject(annotations, { containers: [APP] }).pod)['SLIMFAAS_DIRECT_LOOK_SECONDS'];
    };
    assert.deepEqual(['0', '20', '300'].map(look), ['1', '5', undefined]);
  });

  it('is not counted where the annotation says so', () => {
    assert.deepEqual(of({ 'slimfaas.dev/direct-traffic': 'ignore' }, APP), Array(4).fill(undefined));
  });
});

describe('the sidecar container', () => {
  const names = (containers: readonly { name: string }[] = []) => containers.map(({ name }) => name);

  it('comes after the app, which starts first and stays kubectl’s default container', () => {
    const { before, after } = review(fixture('mesh'));
    assert.deepEqual(names(after.spec?.containers), ['istio-proxy', 'app', 'slimfaas-sidecar']);
    assert.deepEqual(names(after.spec?.initContainers), names(before.spec?.initContainers));
    const sidecar = sidecarOf(after);
    assert.equal(sidecar?.restartPolicy, undefined, 'it is for init containers');
    assert.deepEqual(sidecar?.args, ['sidecar']);
    assert.equal(sidecarEnv(after)['SLIMFAAS_OUTLIVE_APP'], 'if-told');
    const preStop = { exec: { command: ['sleep', '5'] } };
    const { pod } = inject({}, { containers: [{ name: 'app', lifecycle: { preStop } }] });
    assert.equal(sidecarEnv(pod)['SLIMFAAS_OUTLIVE_APP'], 'yes', 'nobody would tell');
  });

  for (const restartPolicy of ['Never', 'OnFailure'])
    it(`is a native one, first in the list, where the pod ends by itself: restartPolicy ${restartPolicy}`, () => {
      const { pod } = inject({}, { restartPolicy, initContainers: [{ name: 'migrate' }] });
      assert.deepEqual(names(pod.spec?.initContainers), ['slimfaas-sidecar', 'migrate']);
      assert.deepEqual(names(pod.spec?.containers), ['app']);
      assert.equal(sidecarOf(pod)?.restartPolicy, 'Always');
      assert.equal(sidecarEnv(pod)['SLIMFAAS_OUTLIVE_APP'], undefined, 'the kubelet sees to it');
    });

  it('holds to Pod Security restricted, with a read-only root', () => {
    const sidecar = sidecarOf(inject().pod);
    assert.deepEqual(brokenRestrictedRules(sidecar ?? { name: 'none' }), []);
    assert.equal(sidecar?.securityContext?.readOnlyRootFilesystem, true);
  });

  it('has something else where Kubernetes would mount the function’s token, but no emptyDir', () => {
    const { pod } = inject();
    const [mount, ...others] = sidecarOf(pod)?.volumeMounts ?? [];
    assert.deepEqual(others, []);
    assert.equal(mount?.mountPath, '/var/run/secrets/kubernetes.io/serviceaccount');
    const volume = pod.spec?.volumes?.find(({ name }) => name === mount?.name);
    assert.deepEqual(
      Object.keys(volume ?? {}),
      ['name', 'downwardAPI'],
      'kubectl drain would not touch an emptyDir',
    );
    const none = inject({}, { automountServiceAccountToken: false }).pod;
    assert.equal(sidecarOf(none)?.volumeMounts, undefined);
    assert.equal(none.spec?.volumes, undefined);
  });

  it('is pulled as the installation says', () => {
    assert.equal(sidecarOf(inject().pod)?.imagePullPolicy, undefined);
    const { pod } = inject({}, {}, { ...OPTIONS, pullPolicy: 'Always' });
    assert.equal(sidecarOf(pod)?.imagePullPolicy, 'Always');
  });

  it('has requests and a memory limit, and no CPU limit', () => {
    const { requests, limits } = sidecarOf(inject().pod)?.resources ?? {};
    assert.deepEqual(requests, { cpu: '25m', memory: '64Mi' });
    assert.deepEqual(limits, { memory: '256Mi' });
  });

  it('has no startupProbe, which would delay the app, and no readinessProbe, which would delay the pod', () => {
    const sidecar = sidecarOf(inject().pod);
    assert.equal(sidecar?.startupProbe, undefined);
    assert.equal(sidecar?.readinessProbe, undefined);
    assert.equal(sidecar?.livenessProbe?.httpGet?.path, '/health');
  });

  it('is drained by its own preStop as well, for pods whose containers all have their own', () => {
    const path = `/drain?token=${DRAIN_TOKEN}`;
    assert.equal(sidecarOf(inject().pod)?.lifecycle?.preStop?.httpGet?.path, path);
  });

  it('comes from slimfaas.dev/sidecar-image where that is given', () => {
    const { pod } = inject({ 'slimfaas.dev/sidecar-image': 'mirror.example/slimfaas:2' });
    assert.equal(sidecarOf(pod)?.image, 'mirror.example/slimfaas:2');
    assert.equal(sidecarOf(inject().pod)?.image, OPTIONS.image);
  });
});

describe('what the app’s port speaks', () => {
  const protocolOf = (
    annotations: Record<string, string>,
    ports: { name?: string; containerPort: number }[],
  ) => sidecarEnv(inject(annotations, { containers: [{ name: 'app', ports }] }).pod)['SLIMFAAS_APP_PROTOCOL'];

  it('is HTTP/1.1 where nothing is said, and then nothing is said to the sidecar', () => {
    assert.equal(protocolOf({}, [{ containerPort: 8080 }]), undefined);
    assert.equal(protocolOf({}, [{ name: 'grpcish', containerPort: 8080 }]), undefined);
  });

  it('is HTTP/2 by the annotation, in the words of a Service’s appProtocol', () => {
    for (const value of ['h2c', 'grpc', 'kubernetes.io/h2c', 'GRPC'])
      assert.equal(protocolOf({ 'slimfaas.dev/app-protocol': value }, [{ containerPort: 80 }]), 'h2c', value);
  });

  it('is HTTP/2 by the name of the port that is called, and of no other', () => {
    for (const name of ['h2c', 'grpc', 'grpc-web', 'http2', 'http2-api'])
      assert.equal(protocolOf({}, [{ name, containerPort: 8080 }]), 'h2c', name);
    const two = [
      { name: 'http', containerPort: 8080 },
      { name: 'grpc', containerPort: 9090 },
    ];
    assert.equal(protocolOf({}, two), undefined);
    assert.equal(protocolOf({ 'slimfaas.dev/port': '9090' }, two), 'h2c');
    assert.equal(
      protocolOf({ 'slimfaas.dev/port': '9090', 'slimfaas.dev/app-protocol': 'http1' }, two),
      undefined,
    );
  });
});

describe('the environment of the sidecar', () => {
  const injected = FIXTURES.filter((name) => sidecarOf(review(fixture(name)).after));
  for (const name of injected)
    it(`${name}: every variable is one that the sidecar reads, with a value that it accepts`, () => {
      const { after } = review(fixture(name));
      const env = { ...sidecarEnv(after), SLIMFAAS_POD_IP: '10.0.0.1', SLIMFAAS_POD_NAME: 'p' };
      const known = new Set(
        Object.keys(sidecarFlags).map((flag) => `SLIMFAAS_${flag.toUpperCase().replaceAll('-', '_')}`),
      );
      assert.deepEqual(
        Object.keys(env).filter((key) => !known.has(key)),
        Object.keys(sidecarMemory()),
      );
      const config = readFlags(sidecarFlags, [], env);
      assert.equal(config.nats, OPTIONS.nats);
      const sync = JSON.parse(config['sync-policy']) as CallPolicy;
      assert.equal(sync.httpTimeoutSeconds, 120);
    });

  it('sizes its heap to half of its memory limit, in options that its Node takes', () => {
    const usual = sidecarEnv(inject().pod)['NODE_OPTIONS'];
    assert.equal(usual, '--max-semi-space-size=8 --max-old-space-size=128');
    const heapOf = (limit: string) =>
      /--max-old-space-size=(\d+)/.exec(sidecarMemory(limit)['NODE_OPTIONS'] ?? '')?.[1];
    assert.equal(heapOf('1Gi'), '512');
    assert.equal(sidecarMemory('0')['NODE_OPTIONS'], usual, 'no limit is no reason to take all');
    assert.equal(heapOf('1E'), '4096');
    assert.equal(heapOf('20M'), '32', 'never too small to start');
    const env = { ...process.env, NODE_OPTIONS: usual };
    const script = 'process.stdout.write(String(v8.getHeapStatistics().heap_size_limit >> 20))';
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { env, encoding: 'utf8' });
    assert.equal(stderr, '');
    assert.ok(Number(stdout) >= 128 && Number(stdout) < 192, stdout);
  });

  it('carries identity, limits, policies and port', () => {
    const env = sidecarEnv(review(fixture('deployment')).after);
    assert.equal(env['SLIMFAAS_FUNCTION'], 'web');
    assert.equal(env['SLIMFAAS_NAMESPACE'], 'field:metadata.namespace');
    assert.equal(env['SLIMFAAS_POD_NAME'], 'field:metadata.name');
    assert.equal(env['SLIMFAAS_POD_IP'], 'field:status.podIP');
    assert.equal(env['SLIMFAAS_PARALLEL_LIMIT'], '10');
    assert.equal(env['SLIMFAAS_PARALLEL_PER_POD'], '2');
    assert.equal(env['SLIMFAAS_APP_PORT'], '8080', 'the one that is named http');
    assert.equal(env['SLIMFAAS_DRAIN_SECONDS'], '28');
    assert.equal(env['SLIMFAAS_QUEUE_LIMIT'], undefined, 'the sidecar has its own default');
  });

  it('carries what the rarer annotations say', () => {
    const env = sidecarEnv(review(fixture('restricted')).after);
    assert.equal(env['SLIMFAAS_QUEUE_LIMIT'], '7');
    assert.equal(env['SLIMFAAS_ORDERED'], 'true');
    assert.equal(env['SLIMFAAS_RETRY_JITTER'], '20');
    assert.equal(env['SLIMFAAS_JOB_SHARE'], '25');
    assert.equal(env['SLIMFAAS_SUBSCRIBE_EVENTS'], 'paid,refund');
  });

  it('names its ports, so that a Service called slimfaas does not set SLIMFAAS_PORT=tcp://…', () => {
    const env = sidecarEnv(inject().pod);
    assert.equal(env['SLIMFAAS_PORT'], '15080');
    assert.equal(env['SLIMFAAS_ADMIN_PORT'], '15081');
  });

  it('names the proxies, with an address at hand where the webhook has one', () => {
    const proxyOf = (flags: object) => {
      const values = { ...readFlags(webhookFlags, [], {}), ...flags };
      const { pod } = inject({}, {}, { ...OPTIONS, ...sidecarDefaultsOf(values) });
      const { SLIMFAAS_PROXY: url, SLIMFAAS_PROXY_ADDRESS: address } = sidecarEnv(pod);
      return [url, address];
    };
    const url = 'http://slimfaas-proxy.slimfaas.svc:5000';
    const given = (address: string, more = {}) => proxyOf({ 'sidecar-proxy-address': address, ...more });
    assert.deepEqual(given(''), [url, undefined]);
    assert.deepEqual(given('10.96.0.7'), [url, '10.96.0.7']);
    assert.deepEqual(given('$(SLIMFAAS_PROXY_SERVICE_HOST)'), [url, undefined]);
    assert.deepEqual(given('10.96.0.7', { 'sidecar-proxy': '' }), [undefined, undefined]);
  });

  it('keeps a $( in a value from being expanded by the kubelet', () => {
    const probe = { httpGet: { path: '/$(HOME)', port: 8080 } };
    const { pod } = inject({}, { containers: [{ name: 'app', readinessProbe: probe }] });
    assert.match(sidecarEnv(pod)['SLIMFAAS_PROBES'] ?? '', /\/\$\$\(HOME\)/);
  });

  it('keeps a pod for some seconds when it ends where its Services wake it', () => {
    const settle = (annotations: Record<string, string>) =>
      sidecarEnv(inject(annotations).pod)['SLIMFAAS_DRAIN_SETTLE_SECONDS'];
    assert.equal(settle({}), undefined);
    assert.equal(settle({ 'slimfaas.dev/services': 'wake' }), '15');
    assert.equal(settle({ 'slimfaas.dev/services': 'ignore' }), undefined);
  });

  it('lets Services drop a pod of it well before that time is over', () => {
    const probe = (annotations: Record<string, string>) => sidecarOf(inject(annotations).pod)?.readinessProbe;
    assert.equal(probe({}), undefined);
    const {
      httpGet,
      periodSeconds = 0,
      failureThreshold = 0,
    } = probe({ 'slimfaas.dev/services': 'wake' }) ?? {};
    assert.deepEqual([httpGet?.path, httpGet?.port], ['/ready', 15_081]);
    assert.equal(periodSeconds * failureThreshold, 5);
    const short = inject({ 'slimfaas.dev/services': 'wake' }, { terminationGracePeriodSeconds: 8 }).pod;
    assert.equal(sidecarOf(short)?.readinessProbe?.failureThreshold, 2);
  });

  it('gives a drain the grace period less two seconds, and at least one', () => {
    const drain = (seconds: number) =>
      sidecarEnv(inject({}, { terminationGracePeriodSeconds: seconds }).pod)['SLIMFAAS_DRAIN_SECONDS'];
    assert.equal(drain(60), '58');
    assert.equal(drain(1), '1');
    assert.equal(drain(0), '1');
    assert.equal(sidecarEnv(inject().pod)['SLIMFAAS_DRAIN_SECONDS'], '28');
  });
});

describe('port and probe of the app', () => {
  it('takes slimfaas.dev/port before any declared port', () => {
    assert.equal(sidecarEnv(review(fixture('own-prestop')).after)['SLIMFAAS_APP_PORT'], '8081');
  });

  const chosen = (containers: V1Container[]) => {
    const { pod, warnings } = inject({}, { containers });
    return { port: sidecarEnv(pod)['SLIMFAAS_APP_PORT'], warnings };
  };
  const choices: [string, Partial<V1Container>, string][] = [
    ['the one named http', { ports: [{ containerPort: 1 }, { name: 'http', containerPort: 2 }] }, '2'],
    [
      'the only one whose name says HTTP',
      {
        ports: [
          { name: 'metrics', containerPort: 1 },
          { name: 'http-api', containerPort: 2 },
        ],
      },
      '2',
    ],
    [
      'the one that a probe asks',
      {
        ports: [
          { name: 'metrics', containerPort: 1 },
          { name: 'main', containerPort: 2 },
        ],
        readinessProbe: { httpGet: { path: '/', port: 'main' } },
      },
      '2',
    ],
    [
      'no UDP port',
      {
        ports: [
          { name: 'quic', containerPort: 1, protocol: 'UDP' },
          { containerPort: 2, protocol: 'TCP' },
        ],
      },
      '2',
    ],
  ];
  for (const [name, container, port] of choices)
    it(`of several ports it takes ${name}`, () =>
      assert.deepEqual(chosen([{ name: 'app', ...container }]), { port, warnings: [] }));

  it('warns where it can only take the first of several ports', () => {
    const { port, warnings } = chosen([{ name: 'app', ports: [{ containerPort: 1 }, { containerPort: 2 }] }]);
    assert.equal(port, '1');
    assert.match(
      warnings.join(),
      /container app declares ports 1, 2, and 1 is called: name the right one "http"/,
    );
  });

  it('a port speaks TLS by its name, by its probe or by the annotation, and the annotation goes before', () => {
    const tlsOf = (pod: Partial<V1PodSpec>, annotations = {}) => {
      const { pod: injected, faults } = inject(annotations, pod);
      assert.deepEqual(faults, []);
      const { SLIMFAAS_APP_TLS: tls, SLIMFAAS_APP_PROTOCOL: protocol } = sidecarEnv(injected);
      return [tls, protocol];
    };
    const byName = { name: 'app', ports: [{ name: 'https-api', containerPort: 8443 }] };
    const readinessProbe = { httpGet: { path: '/', port: 8443, scheme: 'HTTPS' } };
    const byProbe = { name: 'app', ports: [{ containerPort: 8443 }], readinessProbe };
    for (const container of [byName, byProbe]) {
      assert.deepEqual(tlsOf({ containers: [container] }), ['true', undefined]);
      const annotations = { 'slimfaas.dev/app-protocol': 'http1' };
      assert.deepEqual(tlsOf({ containers: [container] }, annotations), [undefined, undefined]);
    }
    const plain = { name: 'app', ports: [{ containerPort: 80 }] };
    assert.deepEqual(tlsOf({ containers: [plain] }, { 'slimfaas.dev/app-protocol': 'https' })[0], 'true');
    const beside = { name: 'app', ports: [{ name: 'http', containerPort: 80 }], readinessProbe };
    assert.deepEqual(tlsOf({ containers: [beside] }), [undefined, undefined], 'another port is called');
  });

  it('HTTP/2 over TLS is a fault that says what to do', () => {
    const readinessProbe = { httpGet: { path: '/', port: 'grpc', scheme: 'HTTPS' } };
    const container = { name: 'app', ports: [{ name: 'grpc', containerPort: 8443 }], readinessProbe };
    const { faults } = inject({}, { containers: [container] });
    assert.match(faults.join(), /port 8443 speaks HTTP\/2.*and TLS.*slimfaas\.dev\/app-protocol: https/);
    const annotations = { 'slimfaas.dev/app-protocol': 'https' };
    assert.deepEqual(inject(annotations, { containers: [container] }).faults, []);
  });

  it('is port 0 where nothing is declared', () => {
    const { pod } = inject({}, { containers: [{ name: 'app' }, { name: 'other', ports: [] }] });
    assert.equal(sidecarEnv(pod)['SLIMFAAS_APP_PORT'], '0');
  });

  it('resolves a named port in the probe, and keeps path, scheme and headers', () => {
    const [first] = probesOf(review(fixture('deployment')).after) ?? [];
    assert.deepEqual(first?.readiness?.httpGet, {
      path: '/ready',
      port: 8080,
      scheme: 'HTTP',
      httpHeaders: [{ name: 'X-Probe', value: '1' }],
    });
  });

  it("takes the port of the user's container, not of a mesh's proxy in front of it, and waits for both", () => {
    const { after } = review(fixture('mesh'));
    assert.equal(sidecarEnv(after)['SLIMFAAS_APP_PORT'], '8080');
    const [proxy, app] = probesOf(after) ?? [];
    assert.equal(proxy?.readiness?.httpGet?.port, 15_021);
    assert.deepEqual(app?.readiness?.tcpSocket, { port: 8080 });
  });

  it('takes that of the default container, where an annotation names one', () => {
    const containers = [
      { name: 'unknown-proxy', ports: [{ containerPort: 9901 }] },
      { name: 'app', ports: [{ containerPort: 8080 }] },
    ];
    const { pod } = inject({ 'kubectl.kubernetes.io/default-container': 'app' }, { containers });
    assert.equal(sidecarEnv(pod)['SLIMFAAS_APP_PORT'], '8080');
  });
});

describe('what the sidecar must see before it says ready', () => {
  const http = (path: string, port: number | string = 8080): V1Probe => ({ httpGet: { path, port } });
  const app = (more: Partial<V1Container> = {}): V1Container => ({
    name: 'app',
    ports: [{ name: 'http', containerPort: 8080 }],
    ...more,
  });
  const of = (containers: V1Container[], spec: Partial<V1PodSpec> = {}) =>
    inject({}, { containers, ...spec });

  const cases: [string, V1Container[], unknown][] = [
    ['a connect, where no probe is declared', [app()], [{ readiness: { tcpSocket: { port: 8080 } } }]],
    [
      'a startup probe alone, and a connect',
      [app({ startupProbe: http('/started') })],
      [{ startup: http('/started') }, { readiness: { tcpSocket: { port: 8080 } } }],
    ],
    [
      'startup and readiness, with named ports resolved',
      [app({ startupProbe: http('/started', 'http'), readinessProbe: http('/ready', '8080') })],
      [{ startup: http('/started'), readiness: http('/ready') }],
    ],
    [
      'the probes of every container',
      [app({ readinessProbe: http('/ready') }), { name: 'cache', readinessProbe: http('/warm', 8081) }],
      [{ readiness: http('/ready') }, { readiness: http('/warm', 8081) }],
    ],
    [
      'a connect to an app without a probe beside a container that has one',
      [app(), { name: 'cache', readinessProbe: http('/warm', 8081) }],
      [{ readiness: http('/warm', 8081) }, { readiness: { tcpSocket: { port: 8080 } } }],
    ],
    [
      'grpc as it is',
      [app({ readinessProbe: { grpc: { port: 8080, service: 's' } } })],
      [{ readiness: { grpc: { port: 8080, service: 's' } } }],
    ],
    [
      'a postStart hook: the kubelet starts the sidecar after it',
      [app({ lifecycle: { postStart: { exec: { command: ['sleep', '3'] } } } })],
      [{ readiness: { tcpSocket: { port: 8080 } } }],
    ],
    ['nothing, where nothing is declared', [{ name: 'app' }], []],
  ];
  for (const [name, containers, expected] of cases)
    it(`is ${name}`, () => assert.deepEqual(probesOf(of(containers).pod), expected));

  const hidden: [string, V1Container[], Partial<V1PodSpec>][] = [
    ['a readiness gate', [app()], { readinessGates: [{ conditionType: 'example.com/registered' }] }],
    ['a command as startup probe', [app({ startupProbe: { exec: { command: ['true'] } } })], {}],
    ['a command as readiness probe', [app({ readinessProbe: { exec: { command: ['true'] } } })], {}],
    ['a command that probes a second container', [app(), { name: 'b', readinessProbe: { exec: {} } }], {}],
    ['a probe to another host', [app({ readinessProbe: { httpGet: { host: 'a.example', port: 80 } } })], {}],
    [
      'a command that probes a native sidecar of the user’s',
      [app()],
      { initContainers: [{ name: 'side', restartPolicy: 'Always', readinessProbe: { exec: {} } }] },
    ],
    [
      'a postStart hook after a native sidecar',
      [app({ lifecycle: { postStart: { exec: { command: ['sleep', '3'] } } } })],
      { restartPolicy: 'Never' },
    ],
    [
      'a delay after a native sidecar',
      [app({ readinessProbe: { tcpSocket: { port: 8080 }, initialDelaySeconds: 5 } })],
      { restartPolicy: 'Never' },
    ],
  ];
  for (const [name, containers, spec] of hidden)
    it(`is for Kubernetes alone to say with ${name}`, () => {
      const { pod, warnings } = of(containers, spec);
      assert.equal(sidecarEnv(pod)['SLIMFAAS_PROBES'], 'kubernetes');
      assert.equal(sidecarEnv(pod)['SLIMFAAS_READINESS_PROBE'], '{"exec":{}}', 'in the words of 0.1.0');
      assert.deepEqual(warnings, []);
    });

  it('is for Kubernetes, with a warning, where a probe names a port that is not declared', () => {
    const { pod, warnings } = of([app({ readinessProbe: http('/', 'htpp') })]);
    assert.equal(sidecarEnv(pod)['SLIMFAAS_PROBES'], 'kubernetes');
    assert.match(warnings.join(), /container app: its readinessProbe names port "htpp"/);
  });

  it('an init container that ends is no part of it', () => {
    const initContainers = [{ name: 'migrate' }];
    assert.deepEqual(probesOf(of([app()], { initContainers }).pod), [
      { readiness: { tcpSocket: { port: 8080 } } },
    ]);
  });
});

describe('who gets shares of NumberParallelRequest', () => {
  it('a pod that nobody scales is limited by the smaller of the two limits, and says so', () => {
    const { after, response } = review(fixture('bare-pod'));
    const env = sidecarEnv(after);
    assert.equal(env['SLIMFAAS_FUNCTION'], 'lonely');
    assert.equal(env['SLIMFAAS_PARALLEL_LIMIT'], '0', 'no share would ever come');
    assert.equal(env['SLIMFAAS_PARALLEL_PER_POD'], '4');
    assert.match(response.warnings?.join() ?? '', /NumberParallelRequest/);
  });

  it("a DaemonSet's pod is routable under the DaemonSet's name", () => {
    const { after } = review(fixture('daemonset'));
    assert.equal(sidecarEnv(after)['SLIMFAAS_FUNCTION'], 'agent');
    assert.equal(after.metadata?.labels?.['slimfaas.dev/function'], 'agent');
  });
});

describe('the label', () => {
  it('is the name as it is, up to 63 characters', () => {
    assert.equal(functionLabelValue('web.v2'), 'web.v2');
    assert.equal(functionLabelValue('a'.repeat(63)), 'a'.repeat(63));
  });

  it('of longer names is cut and hashed: 63 characters, different for different names', () => {
    const [one, two] = ['x', 'y'].map((end) => functionLabelValue('n'.repeat(200) + end));
    assert.equal(one?.length, 63);
    assert.notEqual(one, two);
    assert.match(one ?? '', /^n{54}-[0-9a-f]{8}$/);
  });
});

describe('the sidecar within the resources of its pod', () => {
  const both = (cpu: string, memory: string) => ({ requests: { cpu, memory }, limits: { cpu, memory } });
  const app = (resources: object): V1Container => ({ name: 'app', resources });
  const sidecarIn = (spec: Partial<V1PodSpec>, annotation?: object, options = OPTIONS) => {
    const annotations: Record<string, string> = {};
    if (annotation) annotations['slimfaas.dev/sidecar-resources'] = JSON.stringify(annotation);
    const { pod, warnings } = inject(annotations, spec, options);
    return { resources: sidecarOf(pod)?.resources, warnings, env: sidecarEnv(pod) };
  };

  it('keeps a Guaranteed pod Guaranteed', () => {
    for (const resources of [both('2', '1Gi'), { limits: { cpu: '2', memory: '1Gi' } }]) {
      const { resources: own, warnings } = sidecarIn({ containers: [app(resources)] });
      assert.deepEqual(own, both('250m', '256Mi'));
      assert.deepEqual(warnings, []);
    }
    const chosen = sidecarIn({ containers: [app(both('2', '1Gi'))] }, { limits: { cpu: '1' } });
    assert.deepEqual(chosen.resources, both('1', '256Mi'));
  });

  it('warns where the annotation makes it another class', () => {
    const annotation = { requests: { cpu: '100m' }, limits: { cpu: '1' } };
    const { warnings } = sidecarIn({ containers: [app(both('2', '1Gi'))] }, annotation);
    assert.match(
      warnings.join(),
      /would be Guaranteed, but its sidecar asks for 100m of cpu with a limit of 1/,
    );
  });

  it('a pod with one container that is not Guaranteed is not', () => {
    const usual = { requests: { cpu: '25m', memory: '64Mi' }, limits: { memory: '256Mi' } };
    const containers = [app(both('2', '1Gi'))];
    assert.deepEqual(sidecarIn({ containers, initContainers: [{ name: 'i' }] }).resources, usual);
    const half = { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } };
    assert.deepEqual(sidecarIn({ containers: [app(half)] }).resources, usual);
  });

  const whole = { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '200m', memory: '192Mi' } };
  it('takes a part of what the pod has as a whole, and sizes its heap by that', () => {
    const containers = [app({ requests: { cpu: '100m', memory: '128Mi' } })];
    const { resources, env } = sidecarIn({ containers, resources: whole });
    assert.deepEqual(resources, {});
    assert.match(env['NODE_OPTIONS'] ?? '', /--max-old-space-size=96$/);
    const small = sidecarIn({ containers: [app({})], resources: whole }, { requests: { cpu: '50m' } });
    assert.deepEqual(small.resources, { requests: { cpu: '50m' } });
  });

  it('is refused, with the reason, where it asks for more than the pod has left', () => {
    const verdict = (annotation: object) => {
      const annotations = {
        'SlimFaas/Function': 'true',
        'slimfaas.dev/sidecar-resources': JSON.stringify(annotation),
      };
      const containers = [app({ requests: { cpu: '80m' } })];
      return matchPod({ spec: { containers, resources: whole } }, parseAnnotations(annotations));
    };
    assert.equal(verdict({ requests: { cpu: '20m' } }).kind, 'inject');
    const [requests, limits] = [
      verdict({ requests: { cpu: '21m' } }),
      verdict({ limits: { memory: '256Mi' } }),
    ];
    assert.match(requests.kind === 'refuse' ? requests.message : '', /asks for 21m of cpu, .* \(100m\)/);
    assert.match(
      limits.kind === 'refuse' ? limits.message : '',
      /limit of 256Mi of memory, above .* \(192Mi\)/,
    );
  });

  it('what the installation says of all sidecars is below what the annotation says', () => {
    const options = { ...OPTIONS, resources: { limits: { cpu: '500m' } } };
    assert.deepEqual(sidecarIn({}, undefined, options).resources?.limits, { cpu: '500m', memory: '256Mi' });
    assert.equal(sidecarIn({}, { limits: { cpu: '1' } }, options).resources?.limits?.['cpu'], '1');
  });

  it('and is given as JSON in a flag of the webhook, checked when it starts', () => {
    const read = (text: string) => readFlags(webhookFlags, [`--sidecar-resources=${text}`], {});
    const options = sidecarDefaultsOf(read('{"limits":{"cpu":"1"}}'));
    assert.deepEqual(options.resources, { limits: { cpu: '1' } });
    assert.equal(sidecarDefaultsOf(read('')).resources, undefined);
    for (const bad of ['{', '{"limits":{"cpu":"much"}}', '{"limit":{}}'])
      assert.throws(() => read(bad), /--sidecar-resources: .*with quantities such as 100m or 64Mi/, bad);
  });
});

describe('resources of the sidecar', () => {
  const cases: [string, Parameters<typeof sidecarResources>[0], Record<string, unknown>][] = [
    ['nothing given', undefined, { requests: { cpu: '25m', memory: '64Mi' }, limits: { memory: '256Mi' } }],
    [
      'a request above our limit raises the limit',
      { requests: { memory: '512Mi' } },
      { requests: { cpu: '25m', memory: '512Mi' }, limits: { memory: '512Mi' } },
    ],
    [
      'a limit below our request lowers the request',
      { limits: { memory: '32Mi', cpu: '10m' } },
      { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '32Mi', cpu: '10m' } },
    ],
    [
      'a limit above our request leaves it',
      { limits: { cpu: '1' } },
      { requests: { cpu: '25m', memory: '64Mi' }, limits: { cpu: '1', memory: '256Mi' } },
    ],
    [
      'a contradiction of the user stays theirs',
      { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } },
      { requests: { cpu: '25m', memory: '2Gi' }, limits: { memory: '1Gi' } },
    ],
  ];
  for (const [name, given, expected] of cases)
    it(name, () => assert.deepEqual(sidecarResources(given), expected));

  it('reads quantities of every notation', () => {
    const values = ['100m', '1', '1.5', '64Mi', '1k', '1e3', '2E', '1Ei'].map(quantity);
    assert.deepEqual(values, [0.1, 1, 1.5, 67_108_864, 1_000, 1_000, 2e18, 2 ** 60]);
  });
});
