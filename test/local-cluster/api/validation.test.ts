// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applyDefaults } from '../../../packages/local-cluster/api/objects/defaults.ts';
import { kindOf } from '../../../packages/local-cluster/api/objects/kinds.ts';
import { loadDecoder } from '../../../packages/local-cluster/api/objects/schema.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { validate } from '../../../packages/local-cluster/api/validation/validation.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- manifests of every kind, spoilt in every way
type Draft = any;

const container = () => ({ name: 'web', image: 'web:1', ports: [{ name: 'http', containerPort: 80 }] });

function pod(change: (spec: Draft) => void = () => {}): KubeObject {
  const spec: Draft = { containers: [container()], volumes: [{ name: 'data', emptyDir: {} }] };
  change(spec);
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'n' }, spec } as Draft;
}

function deployment(change: (object: Draft) => void = () => {}): KubeObject {
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [container()] } };
  const spec = { selector: { matchLabels: { app: 'web' } }, template };
  const object: Draft = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'a', namespace: 'n' },
    spec,
  };
  change(object);
  return object;
}

function webhook(change: (webhook: Draft) => void = () => {}): KubeObject {
  const one: Draft = {
    name: 'inject.slimfaas.dev',
    clientConfig: { service: { name: 'webhook', namespace: 'slimfaas' } },
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  };
  change(one);
  return { kind: 'MutatingWebhookConfiguration', metadata: { name: 'a' }, webhooks: [one] } as Draft;
}

function faultOf(resource: string, object: KubeObject, before?: KubeObject): string {
  try {
    const draft = structuredClone(object);
    applyDefaults(resource, draft);
    validate(kindOf(resource), draft, before);
    return '';
  } catch (error) {
    const { code, reason, message } = error as { code: number; reason: string; message: string };
    assert.equal(`${code} ${reason}`, '422 Invalid');
    return message;
  }
}

describe('malformed manifests are refused with the field, the value and what is allowed', () => {
  const named = (name: string) => deployment((object) => (object.metadata.name = name));
  const cases: [what: string, resource: string, object: KubeObject, message: RegExp][] = [
    ['no name', 'deployments', named(''), /metadata\.name: Required value: name or generateName is required/],
    [
      'a bad name',
      'deployments',
      named('Web_1'),
      /metadata\.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain/,
    ],
    ['a long name', 'namespaces', { metadata: { name: 'x'.repeat(64) } } as Draft, /no more than 63/],
    [
      'a service name that begins with a digit',
      'services',
      { metadata: { name: '1a', namespace: 'n' }, spec: { ports: [{ port: 1 }] } } as Draft,
      /DNS-1035/,
    ],
    [
      'a bad label',
      'deployments',
      deployment((o) => (o.metadata.labels = { a: 'b c' })),
      /metadata\.labels: Invalid value: "b c": a valid label/,
    ],
    [
      'a bad annotation key',
      'deployments',
      deployment((o) => (o.metadata.annotations = { 'a b': '' })),
      /metadata\.annotations: Invalid value: "a b"/,
    ],
    [
      'negative replicas',
      'deployments',
      deployment((o) => (o.spec.replicas = -1)),
      /spec\.replicas: Invalid value: -1: must be greater than or equal to 0/,
    ],
    [
      'no template',
      'deployments',
      deployment((o) => delete o.spec.template),
      /spec\.template: Required value/,
    ],
    [
      'no selector',
      'statefulsets',
      deployment((o) => delete o.spec.selector),
      /spec\.selector: Required value/,
    ],
    [
      'an empty selector',
      'deployments',
      deployment((o) => (o.spec.selector = {})),
      /spec\.selector: Invalid value: \{\}: empty selector/,
    ],
    [
      'a selector that selects others',
      'deployments',
      deployment((o) => (o.spec.selector.matchLabels.app = 'x')),
      /`selector` does not match template `labels`/,
    ],
    [
      'an unknown strategy',
      'deployments',
      deployment((o) => (o.spec.strategy = { type: 'Blue' })),
      /spec\.strategy\.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate"/,
    ],
    [
      'a template that ends',
      'deployments',
      deployment((o) => (o.spec.template.spec.restartPolicy = 'Never')),
      /restartPolicy: Unsupported value: "Never": supported values: "Always"/,
    ],
    ['no containers', 'pods', pod((s) => (s.containers = [])), /spec\.containers: Required value/],
    [
      'a container without name',
      'pods',
      pod((s) => delete s.containers[0].name),
      /spec\.containers\[0\]\.name: Required value/,
    ],
    [
      'a container without image',
      'pods',
      pod((s) => delete s.containers[0].image),
      /spec\.containers\[0\]\.image: Required value/,
    ],
    [
      'two containers of one name',
      'pods',
      pod((s) => (s.initContainers = [container()])),
      /name: Duplicate value: "web"/,
    ],
    [
      'a port out of range',
      'pods',
      pod((s) => (s.containers[0].ports[0].containerPort = 70000)),
      /containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive/,
    ],
    [
      'a bad port name',
      'pods',
      pod((s) => (s.containers[0].ports[0].name = 'Http')),
      /ports\[0\]\.name: Invalid value: "Http"/,
    ],
    [
      'a probe without handler',
      'pods',
      pod((s) => (s.containers[0].readinessProbe = { periodSeconds: 1 })),
      /readinessProbe: Required value: must specify a handler type/,
    ],
    [
      'a probe with two handlers',
      'pods',
      pod((s) => (s.containers[0].livenessProbe = { exec: { command: ['a'] }, tcpSocket: { port: 1 } })),
      /tcpSocket: Forbidden: may not specify more than 1/,
    ],
    [
      'a probe of a port nobody has',
      'pods',
      pod((s) => (s.containers[0].readinessProbe = { httpGet: { port: 'web' } })),
      /httpGet\.port: Invalid value: "web": must name one/,
    ],
    [
      'a mount of a volume nobody has',
      'pods',
      pod((s) => (s.containers[0].volumeMounts = [{ name: 'x', mountPath: '/x' }])),
      /volumeMounts\[0\]\.name: Not found: "x"/,
    ],
    [
      'an env without name',
      'pods',
      pod((s) => (s.containers[0].env = [{ value: 'x' }])),
      /env\[0\]\.name: Required value/,
    ],
    [
      'a quantity that is none',
      'pods',
      pod((s) => (s.containers[0].resources = { limits: { memory: '64 MB' } })),
      /resources\.limits\[memory\]: Invalid value: "64 MB"/,
    ],
    [
      'a probe on a plain init container',
      'pods',
      pod((s) => (s.initContainers = [{ name: 'i', image: 'i', readinessProbe: { exec: {} } }])),
      /initContainers\[0\]\.readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always/,
    ],
    [
      'an init container that never restarts',
      'pods',
      pod((s) => (s.initContainers = [{ name: 'i', image: 'i', restartPolicy: 'Never' }])),
      /initContainers\[0\]\.restartPolicy: Unsupported value/,
    ],
    [
      'a service without ports',
      'services',
      { metadata: { name: 'a', namespace: 'n' }, spec: {} } as Draft,
      /spec\.ports: Required value/,
    ],
    [
      'nameless ports of a service',
      'services',
      { metadata: { name: 'a', namespace: 'n' }, spec: { ports: [{ port: 1 }, { port: 2 }] } } as Draft,
      /ports\[0\]\.name: Required value/,
    ],
    [
      'a budget with both limits',
      'poddisruptionbudgets',
      { metadata: { name: 'a', namespace: 'n' }, spec: { minAvailable: 1, maxUnavailable: 1 } } as Draft,
      /cannot be both set/,
    ],
    [
      'an autoscaler without maximum',
      'horizontalpodautoscalers',
      { metadata: { name: 'a', namespace: 'n' }, spec: { scaleTargetRef: { name: 'x' } } } as Draft,
      /spec\.maxReplicas: Required value/,
    ],
    [
      'a rule without verbs',
      'roles',
      { metadata: { name: 'a', namespace: 'n' }, rules: [{ resources: ['pods'] }] } as Draft,
      /rules\[0\]\.verbs: Required value/,
    ],
    [
      'a binding to nothing',
      'rolebindings',
      { metadata: { name: 'a', namespace: 'n' } } as Draft,
      /roleRef\.name: Required value/,
    ],
    [
      'a homeless subject',
      'clusterrolebindings',
      {
        kind: 'ClusterRoleBinding',
        metadata: { name: 'a' },
        roleRef: { kind: 'ClusterRole', name: 'r' },
        subjects: [{ kind: 'ServiceAccount', name: 's' }],
      } as Draft,
      /subjects\[0\]\.namespace: Required value/,
    ],
    [
      'plain text in a secret',
      'secrets',
      { metadata: { name: 'a', namespace: 'n' }, data: { x: 'päss' } } as Draft,
      /data\[x\]: Invalid value: "<redacted>"/,
    ],
    [
      'a lease of no time',
      'leases',
      { metadata: { name: 'a', namespace: 'n' }, spec: { leaseDurationSeconds: 0 } } as Draft,
      /leaseDurationSeconds: Invalid value: 0/,
    ],
    [
      'a webhook of a short name',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.name = 'inject')),
      /webhooks\[0\]\.name: Invalid value: "inject": should be a domain with at least three segments/,
    ],
    [
      'a webhook with two addresses',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.clientConfig.url = 'https://x')),
      /clientConfig: Required value: exactly one of/,
    ],
    [
      'a webhook without TLS',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.clientConfig = { url: 'http://x' })),
      /'https' is the only allowed URL scheme/,
    ],
    [
      'a caBundle that is none',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.clientConfig.caBundle = 'eHg=')),
      /caBundle: Invalid value/,
    ],
    [
      'unknown side effects',
      'mutatingwebhookconfigurations',
      webhook((w) => delete w.sideEffects),
      /sideEffects: Required value/,
    ],
    [
      'a long timeout',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.timeoutSeconds = 31)),
      /timeoutSeconds: Invalid value: 31: must be between 1 and 30/,
    ],
    [
      'another review version',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.admissionReviewVersions = ['v1beta1'])),
      /must include v1/,
    ],
    [
      'an expression nobody can read',
      'mutatingwebhookconfigurations',
      webhook((w) => (w.matchConditions = [{ name: 'a', expression: 'objct.x' }])),
      /matchConditions\[0\]\.expression: Invalid value: "objct\.x": compilation failed: undeclared reference to 'objct'/,
    ],
  ];
  for (const [what, resource, object, message] of cases) {
    test(what, () => assert.match(faultOf(resource, object), message));
  }

  test('all faults are told at once', () => {
    const message = faultOf(
      'pods',
      pod((spec) => (spec.containers = [{}])),
    );
    assert.match(message, /^Pod "a" is invalid: \[.*\.name: Required value, .*\.image: Required value\]$/);
  });

  test("a StatefulSet's pods may mount its claims", () => {
    const object = deployment((draft) => {
      draft.spec.volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: {} }];
      draft.spec.template.spec.containers[0].volumeMounts = [{ name: 'data', mountPath: '/data' }];
    });
    assert.equal(faultOf('statefulsets', object), '');
    delete object.spec.volumeClaimTemplates;
    assert.match(faultOf('statefulsets', object), /volumeMounts\[0\]\.name: Not found: "data"/);
  });

  test('sound manifests pass', () => {
    assert.equal(faultOf('pods', pod()), '');
    assert.equal(faultOf('deployments', deployment()), '');
    assert.equal(faultOf('statefulsets', deployment()), '');
    assert.equal(faultOf('mutatingwebhookconfigurations', webhook()), '');
    const named = pod();
    named.metadata = { namespace: 'n', generateName: 'a-' } as Draft;
    assert.equal(faultOf('pods', named), '');
    const role = { metadata: { name: 'system:x:y' }, rules: [] } as Draft;
    assert.equal(faultOf('clusterroles', role), '', 'names of roles may hold colons');
  });
});

describe('what may not be changed', () => {
  const changed = (object: KubeObject, change: (object: Draft) => void) => {
    const next = structuredClone(object);
    change(next);
    return next;
  };
  const assigned = pod((spec) => (spec.nodeName = 'n1'));
  applyDefaults('pods', assigned);
  const workload = deployment();
  applyDefaults('deployments', workload);
  const stateful = deployment();
  applyDefaults('statefulsets', stateful);
  const binding: Draft = {
    kind: 'RoleBinding',
    metadata: { name: 'a', namespace: 'n' },
    roleRef: { kind: 'Role', name: 'x' },
  };
  applyDefaults('rolebindings', binding);

  const cases: [
    what: string,
    resource: string,
    before: KubeObject,
    change: (o: Draft) => void,
    message: RegExp | '',
  ][] = [
    [
      "a pod's command",
      'pods',
      assigned,
      (o) => (o.spec.containers[0].command = ['x']),
      /pod updates may not change fields/,
    ],
    ["a pod's image may", 'pods', assigned, (o) => (o.spec.containers[0].image = 'x'), ''],
    ["a pod's node", 'pods', assigned, (o) => (o.spec.nodeName = 'n2'), /spec\.nodeName.*immutable/],
    [
      "a Deployment's selector",
      'deployments',
      workload,
      (o) => {
        o.spec.selector.matchLabels = { app: 'x' };
        o.spec.template.metadata.labels = { app: 'x' };
      },
      /spec\.selector.*field is immutable/,
    ],
    [
      "a Deployment's template may",
      'deployments',
      workload,
      (o) => (o.spec.template.spec.containers[0].image = 'x'),
      '',
    ],
    [
      "a StatefulSet's service name",
      'statefulsets',
      stateful,
      (o) => (o.spec.serviceName = 'x'),
      /updates to statefulset spec for fields other than/,
    ],
    ["a StatefulSet's replicas may", 'statefulsets', stateful, (o) => (o.spec.replicas = 5), ''],
    ["a binding's role", 'rolebindings', binding, (o) => (o.roleRef.name = 'y'), /cannot change roleRef/],
  ];
  for (const [what, resource, before, change, message] of cases) {
    test(what, () => {
      const fault = faultOf(resource, changed(before, change), before);
      if (message === '') assert.equal(fault, '');
      else assert.match(fault, message);
    });
  }
});

describe('defaults', () => {
  test('a pod gets what a kubelet needs to know', () => {
    const object = pod((spec) => {
      spec.containers[0].readinessProbe = { httpGet: { port: 'http' } };
      spec.containers[0].resources = { limits: { memory: '64Mi' } };
      spec.containers[0].env = [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }];
    });
    applyDefaults('pods', object);
    const { spec } = object;
    assert.equal(spec.restartPolicy, 'Always');
    assert.equal(spec.terminationGracePeriodSeconds, 30);
    assert.equal(spec.serviceAccountName, 'default');
    const [first] = spec.containers;
    assert.deepEqual(first.readinessProbe, {
      httpGet: { port: 'http', path: '/', scheme: 'HTTP' },
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    });
    assert.deepEqual(first.resources, { limits: { memory: '64Mi' }, requests: { memory: '64Mi' } });
    assert.equal(first.ports[0].protocol, 'TCP');
    assert.equal(first.env[0].valueFrom.fieldRef.apiVersion, 'v1');
  });

  const policies: [image: string, policy: string][] = [
    ['web', 'Always'],
    ['web:latest', 'Always'],
    ['web:1', 'IfNotPresent'],
    ['registry:5000/web', 'Always'],
    ['registry:5000/web:1', 'IfNotPresent'],
    ['web@sha256:0000', 'IfNotPresent'],
  ];
  for (const [image, policy] of policies) {
    test(`image ${image} is pulled ${policy}`, () => {
      const object = pod((spec) => (spec.containers[0].image = image));
      applyDefaults('pods', object);
      assert.equal(object.spec.containers[0].imagePullPolicy, policy);
    });
  }

  test('workloads, services, secrets and namespaces', () => {
    const workload = deployment();
    applyDefaults('deployments', workload);
    assert.equal(workload.spec.replicas, 1);
    assert.deepEqual(workload.spec.strategy, {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' },
    });
    const service: Draft = { metadata: {}, spec: { ports: [{ port: 80 }] } };
    applyDefaults('services', service);
    assert.deepEqual(service.spec.ports, [{ port: 80, protocol: 'TCP', targetPort: 80 }]);
    assert.equal(service.spec.type, 'ClusterIP');
    const secret: Draft = { metadata: {}, data: { a: 'eA==' }, stringData: { b: 'y' } };
    applyDefaults('secrets', secret);
    assert.deepEqual(secret, { metadata: {}, type: 'Opaque', data: { a: 'eA==', b: 'eQ==' } });
    const namespace: Draft = { metadata: { name: 'shop' } };
    applyDefaults('namespaces', namespace);
    assert.equal(namespace.metadata.labels['kubernetes.io/metadata.name'], 'shop');
  });

  test('they change nothing the second time', () => {
    for (const [resource, object] of [
      ['pods', pod()],
      ['deployments', deployment()],
      ['mutatingwebhookconfigurations', webhook()],
    ] as const) {
      applyDefaults(resource, object);
      const once = structuredClone(object);
      applyDefaults(resource, object);
      assert.deepEqual(object, once);
    }
  });
});

describe('decoding', async () => {
  const decode = await loadDecoder();
  const options = (fieldValidation: string | null, warnings: string[] = []) => ({
    fieldValidation,
    warn: (text: string) => void warnings.push(text),
  });

  test('nulls and unknown fields fall away, with a warning', () => {
    const warnings: string[] = [];
    const object = { metadata: { name: 'a', creationTimestamp: null }, spec: { replcas: 1, replicas: 2 } };
    const decoded = decode(kindOf('deployments'), object, options(null, warnings));
    assert.deepEqual(decoded, { metadata: { name: 'a' }, spec: { replicas: 2 } });
    assert.deepEqual(warnings, ['unknown field "spec.replcas"']);
  });

  test('Strict refuses unknown fields, Ignore says nothing', () => {
    const object = { spec: { template: { spec: { containers: [{ imagee: 'x' }] } } } };
    assert.throws(() => decode(kindOf('deployments'), object, options('Strict')), {
      code: 400,
      message: /strict decoding error: unknown field "spec\.template\.spec\.containers\[0\]\.imagee"/,
    });
    const warnings: string[] = [];
    decode(kindOf('deployments'), object, options('Ignore', warnings));
    assert.deepEqual(warnings, []);
  });

  const wrong: [what: string, object: object, message: RegExp][] = [
    [
      'text for a number',
      { spec: { replicas: 'three' } },
      /cannot unmarshal string into field spec\.replicas of type int32/,
    ],
    ['a fraction for a whole number', { spec: { replicas: 1.5 } }, /spec\.replicas of type int32/],
    [
      'a number for a label',
      { metadata: { labels: { a: 1 } } },
      /number into field metadata\.labels\.a of type string/,
    ],
    [
      'a boolean for an annotation',
      { metadata: { annotations: { a: true } } },
      /bool into field metadata\.annotations\.a of type string/,
    ],
    [
      'an object for a list',
      { spec: { template: { spec: { containers: {} } } } },
      /object into field spec\.template\.spec\.containers of type \[\]V1Container/,
    ],
    ['text for an object', { spec: 'x' }, /string into field spec of type DeploymentSpec/],
    ['text for a boolean', { spec: { paused: 'yes' } }, /spec\.paused of type bool/],
  ];
  for (const [what, object, message] of wrong) {
    test(`${what} is refused with 400`, () => {
      assert.throws(() => decode(kindOf('deployments'), object, options(null)), { code: 400, message });
    });
  }

  test('quantities may be numbers, ports names or numbers', () => {
    const object = {
      spec: {
        containers: [{ resources: { limits: { cpu: 1 } }, livenessProbe: { httpGet: { port: 'x' } } }],
      },
    };
    const decoded = decode(kindOf('pods'), object, options('Strict'));
    assert.equal(decoded.spec.containers[0].resources.limits.cpu, '1');
    assert.equal(decoded.spec.containers[0].livenessProbe.httpGet.port, 'x');
  });
});
