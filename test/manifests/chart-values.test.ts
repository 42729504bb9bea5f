/** Each value of the chart reaches the place that it is for, and the API takes the result. */
import assert from 'node:assert/strict';
import { before, describe, it, test, type TestContext } from 'node:test';
import { stringify } from 'yaml';
import { checkFlags } from '../../cli/people-flags.ts';
import { readFlags } from '../../common/runtime/flags.ts';
import type { V1Container, V1PodSpec } from '../../common/kube/client.ts';
import { NAMESPACES_NOT_INJECTED } from '../../common/kube/model/no-sidecar.ts';
import { kubectl, writeKubeconfig } from '../helpers/kubectl.ts';
import { brokenRestrictedRules } from '../webhook/pod-rules.ts';
import { call, startLocalApi } from '../helpers/local-api.ts';
import { ofKind, renderChart, templateOf, type Manifest } from './manifests.ts';
import { expand, serviceVariables } from './parts.ts';
import { sidecarDefaultsOf, webhookFlags } from '../../webhook/flags.ts';
import { VALUE_SETS } from './value-sets.ts';

/** What only an operator's custom resources give a cluster. */
const CUSTOM = new Set(['Certificate', 'HTTPRoute', 'PodMonitor']);
const PARTS = ['proxy', 'scaler', 'webhook'] as const;

class Rendered {
  readonly all: readonly Manifest[];

  constructor(all: readonly Manifest[]) {
    this.all = all;
  }

  one(kind: string, name: string): Manifest {
    const found = this.all.filter((object) => object.kind === kind && object.metadata.name === name);
    assert.equal(found.length, 1, `${kind} ${name}`);
    return found[0] as Manifest;
  }

  pod(part: string): V1PodSpec {
    const kind = part === 'nats' ? 'StatefulSet' : 'Deployment';
    return templateOf(this.one(kind, `slimfaas-${part}`)).spec as V1PodSpec;
  }

  container(part: string): V1Container {
    return this.pod(part).containers[0] as V1Container;
  }

  variable(part: string, name: string): string | undefined {
    return this.container(part).env?.find((variable) => variable.name === name)?.value;
  }
}

async function render(what: string): Promise<Rendered> {
  return new Rendered(await renderChart(VALUE_SETS[what] as object));
}

describe('the chart, with what production sets', () => {
  let chart: Rendered;
  before(async () => {
    chart = await render('production');
  });

  it('image: one for every part and for the sidecars, with its policy and its Secrets', () => {
    for (const part of PARTS) {
      assert.equal(chart.container(part).image, 'example/platform/slimfaas:0.1.0-hardened');
      assert.equal(chart.container(part).imagePullPolicy, 'Always');
      assert.deepEqual(chart.pod(part).imagePullSecrets, [{ name: 'mirror' }]);
    }
    assert.equal(chart.variable('webhook', 'SLIMFAAS_SIDECAR_IMAGE'), chart.container('proxy').image);
  });

  it('createNamespace: the namespace is there', () => {
    assert.equal(chart.one('Namespace', 'slimfaas').metadata.namespace, undefined);
  });

  it('replicas, resources, placement: each where it was said, defaults beside it', () => {
    const replicas = PARTS.map(
      (part) => chart.one('Deployment', `slimfaas-${part}`)['spec'].replicas as number,
    );
    assert.deepEqual(replicas, [3, 3, 3]);
    assert.deepEqual(chart.container('proxy').resources, {
      requests: { cpu: '500m', memory: '128Mi' },
      limits: { memory: '1Gi' },
    });
    assert.equal(chart.pod('proxy').tolerations?.[0]?.key, 'edge');
    assert.equal(chart.pod('scaler').tolerations, undefined);
    assert.deepEqual(chart.pod('nats').nodeSelector, { disk: 'ssd' });
  });

  it('nats.storage: size and class of the claim', () => {
    const [claim] = chart.one('StatefulSet', 'slimfaas-nats')['spec'].volumeClaimTemplates;
    assert.equal(claim.spec.storageClassName, 'fast');
    assert.deepEqual(claim.spec.resources, { requests: { storage: '100Gi' } });
  });

  it('podDisruptionBudget: false takes that one away', () => {
    const names = ofKind(chart.all, 'PodDisruptionBudget').map(({ metadata }) => metadata.name);
    assert.deepEqual(names.toSorted(), ['slimfaas-proxy', 'slimfaas-webhook']);
  });

  it('proxy.service and proxy.tls: type, annotations, a port for HTTPS, the Secret where the flags look', () => {
    const { metadata, spec } = chart.one('Service', 'slimfaas-proxy');
    assert.equal(spec.type, 'LoadBalancer');
    assert.deepEqual(metadata.annotations, { 'example.com/internal': 'true' });
    assert.deepEqual(
      spec.ports.map(({ port }: { port: number }) => port),
      [5000, 5080, 5443],
    );
    const { args = [], volumeMounts } = chart.container('proxy');
    assert.ok(args.includes('--tls-cert=/tls/tls.crt') && args.includes('--tls-key=/tls/tls.key'));
    const tls = { name: 'tls', mountPath: '/tls', readOnly: true };
    assert.deepEqual(volumeMounts?.at(-1), tls);
    assert.equal(chart.pod('proxy').volumes?.at(-1)?.secret?.secretName, 'functions-tls');
  });

  it('proxy.ingress: each host leads to a port of the Service, under the one certificate', () => {
    const { metadata, spec } = chart.one('Ingress', 'slimfaas-proxy');
    const hosts = ['functions.example.com', '*.functions.example.com'];
    assert.deepEqual(
      spec.rules.map(({ host }: { host: string }) => host),
      hosts,
    );
    assert.deepEqual(spec.tls, [{ hosts, secretName: 'ingress-tls' }]);
    assert.equal(spec.ingressClassName, 'nginx');
    assert.equal(Object.keys(metadata.annotations ?? {}).length, 1);
  });

  it('proxy.httpRoute: each host has a route, which publishes what the Ingress would', () => {
    const ingress = chart.one('Ingress', 'slimfaas-proxy').spec;
    const paths = ingress.rules[0].http.paths.map(({ path }: { path: string }) => path);
    for (const [number, host] of ['functions.example.com', '*.a.example.com'].entries()) {
      const { apiVersion, spec } = chart.one('HTTPRoute', `slimfaas-proxy-${number}`);
      assert.equal(apiVersion, 'gateway.networking.k8s.io/v1');
      assert.deepEqual(spec, {
        parentRefs: [{ name: 'outside', namespace: 'gateways', sectionName: 'https' }],
        hostnames: [host],
        rules: [
          {
            matches: paths.map((value: string) => ({ path: { type: 'PathPrefix', value } })),
            backendRefs: [{ name: 'slimfaas-proxy', port: 5080 }],
          },
        ],
      });
    }
  });

  it('proxy.ingress and proxy.public: the paths of callers alone, to the port where nobody is trusted', () => {
    const { spec } = chart.one('Ingress', 'slimfaas-proxy');
    for (const { http } of spec.rules) {
      assert.deepEqual(
        http.paths.map(({ path }: { path: string }) => path),
        ['/function', '/async-function', '/publish-event'],
      );
      for (const { pathType, backend } of http.paths) {
        assert.equal(pathType, 'Prefix');
        assert.deepEqual(backend.service, { name: 'slimfaas-proxy', port: { name: 'public' } });
      }
    }
    const { ports } = chart.one('Service', 'slimfaas-proxy')['spec'];
    assert.ok(
      ports.some(
        ({ name, targetPort }: Record<string, string>) => name === 'public' && targetPort === 'public',
      ),
    );
    const { args = [], ports: own } = chart.container('proxy');
    assert.ok(args.includes('--public-routes=function,async-function,publish-event'));
    assert.equal(own?.find(({ name }) => name === 'public')?.containerPort, 5080);
    const policy = chart.one('NetworkPolicy', 'slimfaas-proxy');
    assert.ok(policy['spec'].ingress[0].ports.some(({ port }: { port: string }) => port === 'public'));
  });

  it('flags: large numbers, fractions, lists and booleans as the parts read them', () => {
    assert.equal(chart.variable('proxy', 'SLIMFAAS_QUEUE_BYTES'), '536870912');
    assert.equal(chart.variable('proxy', 'SLIMFAAS_DRAIN_TIMEOUT'), '600.5');
    assert.equal(chart.variable('proxy', 'SLIMFAAS_CALLBACK_ALLOW'), '*.example.com,10.1.0.0/16');
    assert.equal(chart.variable('proxy', 'SLIMFAAS_SHOW_PRIVATE'), 'true');
    assert.equal(chart.variable('scaler', 'SLIMFAAS_TICK'), '0.5');
    assert.equal(chart.variable('webhook', 'SLIMFAAS_LOG_LEVEL'), 'debug');
  });

  it('a longer drain gets its time before SIGKILL', () => {
    assert.equal(chart.pod('proxy').terminationGracePeriodSeconds, 10 + 3 + 20 + 601 + 7);
    assert.equal(chart.pod('webhook').terminationGracePeriodSeconds, 10 + 27);
  });

  it('metrics: PodMonitors name ports that the pods declare, and stand in for the annotations', () => {
    for (const part of PARTS) {
      const { metadata, spec } = chart.one('PodMonitor', `slimfaas-${part}`);
      assert.equal(metadata.labels?.['release'], 'prometheus');
      const ports = chart.container(part).ports?.map(({ name }) => name);
      assert.ok(ports?.includes(spec.podMetricsEndpoints[0].port));
      assert.equal(templateOf(chart.one('Deployment', `slimfaas-${part}`)).metadata?.annotations, undefined);
    }
    const { spec } = chart.one('PodMonitor', 'slimfaas-sidecars');
    assert.deepEqual(spec.namespaceSelector, { any: true });
    assert.equal(spec.podMetricsEndpoints[0].port, 'slimfaas-admin');
  });
});

describe('the chart, with the certificate of cert-manager', () => {
  let chart: Rendered;
  before(async () => {
    chart = await render('some namespaces, cert-manager');
  });

  it('asks for it, for the name that API servers dial', () => {
    const { spec } = chart.one('Certificate', 'slimfaas-webhook');
    assert.deepEqual(spec.issuerRef, { kind: 'ClusterIssuer', name: 'internal-ca' });
    const { name, namespace } = chart.one('MutatingWebhookConfiguration', 'slimfaas')['webhooks'][0]
      .clientConfig.service;
    assert.equal(spec.dnsNames[0], `${name}.${namespace}.svc`);
  });

  it('mounts it where the webhook looks, and has its CA put into the configuration', () => {
    const { spec } = chart.one('Certificate', 'slimfaas-webhook');
    const { args = [], volumeMounts } = chart.container('webhook');
    assert.ok(args.includes(`--cert-dir=${volumeMounts?.[0]?.mountPath}`));
    assert.equal(chart.pod('webhook').volumes?.[0]?.secret?.secretName, spec.secretName);
    const { metadata } = chart.one('MutatingWebhookConfiguration', 'slimfaas');
    assert.deepEqual(metadata.annotations, {
      'cert-manager.io/inject-ca-from': 'slimfaas/slimfaas-webhook',
    });
  });

  it('the webhook has no rights then', () => {
    const roles = ofKind(chart.all, 'Role', 'ClusterRole');
    assert.ok(!roles.some(({ metadata }) => metadata.name === 'slimfaas-webhook'));
  });
});

describe('the chart, with digests and addresses of IPv6', () => {
  let chart: Rendered;
  before(async () => {
    chart = await render('digests, and addresses of IPv6');
  });

  it('image.digest: parts, sidecars and the check are of that very image; the tag says which it is', () => {
    const image = `example/slimfaas:0.1.0-hardened@sha256:${'0a'.repeat(32)}`;
    for (const part of PARTS) assert.equal(chart.container(part).image, image);
    assert.equal(chart.variable('webhook', 'SLIMFAAS_SIDECAR_IMAGE'), image);
    assert.equal((chart.one('Pod', 'slimfaas-check')['spec'] as V1PodSpec).containers[0]?.image, image);
  });

  it('nats.digest: the bundled server’s', () => {
    assert.match(chart.container('nats').image ?? '', /^nats:[\d.]+-alpine@sha256:(1b){32}$/);
  });

  it('nats.listen and proxy.service.ipFamilyPolicy: where they count', () => {
    const { args = [] } = chart.container('nats');
    assert.ok(args.includes('--addr=::'));
    assert.equal(chart.one('Service', 'slimfaas-proxy')['spec'].ipFamilyPolicy, 'PreferDualStack');
  });
});

describe('helm test', () => {
  it('asks every part at the address that the others use, as a pod that NATS lets in, without rights', async () => {
    const chart = await render('defaults');
    const { metadata, spec } = chart.one('Pod', 'slimfaas-check');
    assert.equal(metadata.annotations?.['helm.sh/hook'], 'test');
    assert.equal(metadata.labels?.['app.kubernetes.io/name'], 'slimfaas');
    assert.equal(spec.automountServiceAccountToken, false);
    const [container] = spec.containers as V1Container[];
    const variables = Object.assign({}, ...ofKind(chart.all, 'Service').map(serviceVariables)) as Record<
      string,
      string
    >;
    const args = (container?.args ?? []).slice(1).map((arg) => expand(arg, variables));
    assert.doesNotMatch(args.join(' '), /\$\(/, 'every $(VARIABLE) has a value');
    readFlags(checkFlags, args, {});
    const securityContext = { ...spec.securityContext, ...container?.securityContext };
    assert.deepEqual(brokenRestrictedRules({ ...(container as V1Container), securityContext }), []);
  });
});

describe('the chart, for other users and another NATS', () => {
  it('resources: where a quota asks for a limit, every container of every pod has one', async () => {
    const chart = await render('limits that a quota asks for');
    const check = chart.one('Pod', 'slimfaas-check')['spec'] as V1PodSpec;
    for (const { initContainers = [], containers } of [
      ...[...PARTS, 'nats'].map((part) => chart.pod(part)),
      check,
    ])
      for (const { name, resources } of [...initContainers, ...containers])
        for (const what of ['cpu', 'memory', 'ephemeral-storage'])
          assert.ok(resources?.limits?.[what] !== undefined, `${name} has no limits.${what}`);
    assert.equal(chart.pod('nats').containers[1]?.resources?.limits?.['cpu'], '100m', 'a quota counts it');
  });

  it('user: none leaves ids to the namespace everywhere, the sidecar’s too', async () => {
    const chart = await render('user ids of the namespace');
    for (const part of [...PARTS, 'nats']) {
      const { runAsUser, runAsGroup, fsGroup, runAsNonRoot } = chart.pod(part).securityContext ?? {};
      assert.deepEqual(
        { runAsUser, runAsGroup, fsGroup },
        { runAsUser: undefined, runAsGroup: undefined, fsGroup: undefined },
      );
      assert.equal(runAsNonRoot, true);
    }
    assert.ok(chart.container('webhook').args?.includes('--sidecar-user=none'));
  });

  it('says to the webhook what every sidecar has beyond its own, and how it is pulled', async () => {
    const chart = await render('sidecars with a CPU limit, always pulled');
    const config = readFlags(webhookFlags, (chart.container('webhook').args ?? []).slice(1), {});
    const sidecar = sidecarDefaultsOf(config);
    assert.deepEqual(sidecar.resources, { limits: { cpu: '500m' } });
    assert.equal(sidecar.pullPolicy, 'Always');
  });

  it('user: a number is that of pods and sidecars; the bundled NATS keeps its image’s', async () => {
    const chart = await render('a user id of the operator');
    for (const part of PARTS) assert.equal(chart.pod(part).securityContext?.runAsUser, 1_000_650_000);
    assert.ok(chart.container('webhook').args?.includes('--sidecar-user=1000650000'));
    assert.equal(chart.pod('nats').securityContext?.runAsUser, 1_000);
  });

  it('nats.url: every part and the sidecars use it, and no server is bundled', async () => {
    const chart = await render('NATS of the operator');
    const { url } = (VALUE_SETS['NATS of the operator'] as { nats: { url: string } }).nats;
    for (const part of PARTS) {
      const flag = part === 'webhook' ? '--sidecar-nats' : '--nats';
      assert.ok(chart.container(part).args?.includes(`${flag}=${url}`));
    }
    assert.ok(chart.container('scaler').args?.includes('--job-replicas=3'));
    assert.deepEqual(
      chart.all.filter(({ metadata }) => metadata.name === 'slimfaas-nats'),
      [],
    );
  });
});

describe('the chart, for another NATS that asks who one is', () => {
  it('nats.signingKey: the webhook alone has it, and all pods show what it gives them', async () => {
    const chart = await render('NATS of the operator, with a signing key');
    const config = readFlags(webhookFlags, (chart.container('webhook').args ?? []).slice(1), {});
    assert.equal(config['nats-signing-key'], '/nats/key');
    assert.equal(config['nats-credentials'] + config['nats-ca-file'], '');
    for (const part of PARTS) assert.ok(chart.container(part).args?.includes('--auth=required'), part);
    const volumes = (part: string) => JSON.stringify(chart.pod(part).volumes ?? []);
    assert.match(volumes('webhook'), /"secretName":"nats-account"/);
    for (const part of ['proxy', 'scaler']) assert.doesNotMatch(volumes(part), /nats-account/);
    chart.one('Service', 'slimfaas-issuer');
  });

  it('nats.credentials and nats.ca, beside the certificate of cert-manager', async () => {
    const chart = await render('NATS of the operator, with credentials and a CA');
    const config = readFlags(webhookFlags, (chart.container('webhook').args ?? []).slice(1), {});
    assert.equal(config['nats-credentials'], '/nats/key');
    assert.equal(config['nats-ca-file'], '/nats/ca/ca.crt');
    const secrets = chart.pod('webhook').volumes?.map(({ secret }) => secret?.secretName);
    assert.deepEqual(secrets, ['slimfaas-webhook-certificate', '2025', 'nats-ca']);
  });
});

async function applied(t: TestContext, what: string) {
  const server = await startLocalApi((release) => t.after(release));
  const { path, remove } = await writeKubeconfig(server.kubeconfig());
  t.after(remove);
  const { all } = await render(what);
  const namespaces = (VALUE_SETS[what] as { namespaces?: string[] }).namespaces ?? [];
  for (const namespace of ['slimfaas', ...namespaces])
    await kubectl(path, ['create', 'namespace', namespace]);
  const objects = all.filter(({ kind }) => !CUSTOM.has(kind));
  const input = objects.map((object) => stringify(object)).join('---\n');
  return { server, ...(await kubectl(path, ['apply', '-f', '-'], { input })) };
}

for (const what of Object.keys(VALUE_SETS))
  test(`${what}: the API knows every field, and takes every value`, async (t) => {
    const { stderr, code } = await applied(t, what);
    assert.equal(code, 0, stderr);
    // The namespace that `kubectl create` made is taken over with a remark.
    assert.doesNotMatch(stderr, /unknown|invalid/i);
  });

test('namespaces: proxy and scaler see and scale there, and nowhere else', async (t) => {
  const { server } = await applied(t, 'some namespaces, cert-manager');
  const status = async (part: string, path: string, method = 'GET') => {
    const user = `system:serviceaccount:slimfaas:slimfaas-${part}`;
    return (await call(server, path, { user, method })).status;
  };
  for (const part of ['proxy', 'scaler']) {
    for (const namespace of ['shop', 'billing']) {
      assert.equal(await status(part, `/apis/apps/v1/namespaces/${namespace}/deployments`), 200);
      assert.equal(await status(part, `/api/v1/namespaces/${namespace}/pods`), 200);
    }
    assert.equal(await status(part, '/apis/apps/v1/namespaces/default/deployments'), 403);
    assert.equal(await status(part, '/api/v1/pods'), 403);
  }
  const scale = (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/deployments/none/scale`;
  assert.equal(await status('scaler', scale('shop')), 404);
  assert.equal(await status('scaler', scale('default')), 403);
  assert.equal(await status('proxy', scale('shop')), 403);
});

test('NATS, scaler and proxies are addressed by name, with their addresses at hand, and as slimfaas inject does', async () => {
  const chart = await render('production');
  const args = (part: string): readonly string[] => chart.container(part).args ?? [];
  assert.ok(args('webhook').includes(`--sidecar-nats=${webhookFlags['sidecar-nats'].default}`));
  assert.ok(args('webhook').includes('--sidecar-nats-address=$(SLIMFAAS_NATS_SERVICE_HOST)'));
  assert.ok(args('webhook').includes(`--sidecar-proxy=${webhookFlags['sidecar-proxy'].default}`));
  assert.ok(args('webhook').includes('--sidecar-proxy-address=$(SLIMFAAS_PROXY_SERVICE_HOST)'));
  for (const part of ['proxy', 'scaler']) {
    assert.ok(args(part).includes('--nats=nats://slimfaas-nats.slimfaas.svc:4222'));
    assert.ok(args(part).includes('--nats-address=$(SLIMFAAS_NATS_SERVICE_HOST)'));
  }
  assert.ok(args('proxy').includes('--scaler-url=http://slimfaas-scaler.slimfaas.svc:5001'));
  assert.ok(args('proxy').includes('--scaler-address=$(SLIMFAAS_SCALER_SERVICE_HOST)'));
});

test('namespaces that are not injected are those whose functions are refused jobs', async () => {
  const chart = await render('production');
  const [webhook] = chart.one('MutatingWebhookConfiguration', 'slimfaas')['webhooks'];
  assert.deepEqual(webhook.namespaceSelector.matchExpressions[0].values, NAMESPACES_NOT_INJECTED);
});

test('namespaces: the parts are told, and the webhook is called for no other', async () => {
  const chart = await render('some namespaces, cert-manager');
  for (const part of ['proxy', 'scaler'])
    assert.ok(chart.container(part).args?.includes('--namespaces=shop,billing,123,1e3'));
  const [webhook] = chart.one('MutatingWebhookConfiguration', 'slimfaas')['webhooks'];
  assert.deepEqual(webhook.namespaceSelector.matchExpressions, [
    { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['shop', 'billing', '123', '1e3'] },
  ]);
});

test('a flag that is no whole number can be given by --set, which hands on a text', async () => {
  const all = await renderChart({ scaler: { flags: { tick: '0.5' } } });
  assert.equal(new Rendered(all).variable('scaler', 'SLIMFAAS_TICK'), '0.5');
  await assert.rejects(renderChart({ scaler: { flags: { tick: 'often' } } }), /tick/);
});

test('what is published: jobs, status and wake when a value says so, hosts of functions whole, and a Service of its own', async () => {
  const chart = new Rendered(
    await renderChart({
      functionHosts: ['shop.example.com', 'team-a=*.a.example.com'],
      proxy: {
        public: {
          routes: ['function', 'jobs', 'status', 'wake'],
          service: { type: 'LoadBalancer', annotations: { a: 'b' } },
          outsideCidrs: ['10.9.0.0/16', 'fd00::/8'],
        },
        tls: { secretName: 'tls', public: true },
        ingress: { hosts: ['f.example.com', 'shop.example.com', 'x.a.example.com', '*.a.example.com'] },
      },
    }),
  );
  const { spec } = chart.one('Ingress', 'slimfaas-proxy');
  const paths = spec.rules.map((rule: { http: { paths: { path: string }[] } }) =>
    rule.http.paths.map(({ path }) => path).join(' '),
  );
  const jobs = '/async-function-job /async-function-callback';
  const status = '/status-functions /status-functions-stream /status-function /status-page';
  assert.deepEqual(paths, [`/function ${jobs} ${status} /wake-function`, '/', '/', '/']);
  const service = chart.one('Service', 'slimfaas-public');
  assert.equal(service['spec'].type, 'LoadBalancer');
  assert.deepEqual(service['spec'].ports, [{ name: 'http', port: 80, targetPort: 'public' }]);
  const { args = [] } = chart.container('proxy');
  assert.ok(args.includes('--outside-cidrs=10.9.0.0/16,fd00::/8') && args.includes('--tls-public'));
  const closed = new Rendered(await renderChart({ proxy: { public: { routes: [] } } }));
  assert.ok(!closed.container('proxy').args?.some((arg) => arg.startsWith('--public')));
  assert.equal(closed.one('Service', 'slimfaas-proxy')['spec'].ports.length, 1);
});
