import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { envName, readFlags, type FlagTable } from '../../common/runtime/flags.ts';
import type { V1Probe } from '../../common/kube/client.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { proxyFlags } from '../../proxy/flags.ts';
import { scalerFlags } from '../../scaler/flags.ts';
import { sidecarFlags } from '../../common/function/sidecar-flags.ts';
import { webhookFlags } from '../../webhook/flags.ts';
import { brokenRestrictedRules, brokenRules } from '../webhook/pod-rules.ts';
import { ofKind, readManifests, selects, templateOf, type Labels, type Manifest } from './manifests.ts';
import { expand, onlyContainer, partOf, serviceVariables, TABLES } from './parts.ts';

const ALL = readManifests('install.yaml');
const WORKLOADS = ofKind(ALL, 'Deployment', 'StatefulSet');
const SERVICES = ofKind(ALL, 'Service');
const PARTS = WORKLOADS.filter((workload) => partOf(workload) !== undefined);

describe('install.yaml: the parts and their flags', () => {
  it('runs proxy, scaler and webhook, the last two with two replicas', () => {
    const replicas = Object.fromEntries(PARTS.map((part) => [partOf(part), part['spec'].replicas]));
    assert.deepEqual(replicas, { webhook: 2, scaler: 2, proxy: 1 });
  });

  for (const workload of PARTS) {
    const part = partOf(workload) ?? '';
    const table = TABLES[part] as FlagTable;
    it(`${part}: every argument is a flag of the command, with a value that it accepts`, () => {
      const variables = Object.assign({}, ...SERVICES.map(serviceVariables)) as Record<string, string>;
      const args = (onlyContainer(workload).args ?? []).slice(1).map((arg) => expand(arg, variables));
      const config = readFlags(table, args, {});
      assert.ok(Object.isFrozen(config));
      assert.doesNotMatch(args.join(' '), /\$\(/, 'every $(VARIABLE) has a value');
    });

    it(`${part}: every SLIMFAAS_ variable is a flag of the command`, () => {
      const known = new Set(Object.keys(table).map(envName));
      const names = (onlyContainer(workload).env ?? []).map(({ name }) => name);
      assert.deepEqual(
        names.filter((name) => !known.has(name)),
        [],
      );
    });

    it(`${part}: names its ports, so that no Service variable is taken for a flag`, () => {
      const given = onlyContainer(workload).args?.map((arg) => arg.split('=')[0]);
      const ports = Object.keys(table).filter((flag) => /(^|-)port$/.test(flag));
      assert.deepEqual(
        ports.filter((flag) => !given?.includes(`--${flag}`)),
        [],
      );
    });

    it(`${part}: ports that it listens on are ports that it declares`, () => {
      const declared = onlyContainer(workload)
        .ports?.map(({ containerPort }) => containerPort)
        .toSorted();
      const args = onlyContainer(workload).args ?? [];
      const listening = args
        .flatMap((arg) => /port=(\d+)$/.exec(arg)?.[1] ?? [])
        .map(Number)
        .toSorted();
      assert.deepEqual(declared, listening);
    });
  }

  it('finds NATS and the scaler by Services that stand before the pods', () => {
    for (const workload of PARTS) {
      const before = ofKind(ALL.slice(0, ALL.indexOf(workload)), 'Service');
      const variables = Object.assign({}, ...before.map(serviceVariables)) as Record<string, string>;
      const used = (onlyContainer(workload).args ?? []).join(' ').matchAll(/\$\(([^)]+)\)/g);
      for (const [, name = ''] of used) assert.ok(name in variables, `${partOf(workload)}: ${name}`);
    }
  });

  it('has no Service whose variables are flags of any part', () => {
    const flags = new Set(
      Object.values({ ...TABLES, sidecar: sidecarFlags }).flatMap((t) => Object.keys(t).map(envName)),
    );
    const names = SERVICES.flatMap((service) => Object.keys(serviceVariables(service)));
    assert.deepEqual(
      names.filter((name) => flags.has(name)),
      [],
    );
  });

  it('runs one image in one version, and injects the same', () => {
    const images = new Set(PARTS.map((part) => onlyContainer(part).image));
    assert.deepEqual([...images], [`slimfaas/slimfaas:${VERSION}`]);
    const webhook = PARTS.find((part) => partOf(part) === 'webhook') as Manifest;
    const injected = onlyContainer(webhook).env?.find(({ name }) => name === 'SLIMFAAS_SIDECAR_IMAGE')?.value;
    assert.equal(injected, `slimfaas/slimfaas:${VERSION}`);
    assert.equal(webhookFlags['sidecar-image'].default, injected);
  });

  it('gives the proxy time for its lame duck and its drain', () => {
    const proxy = PARTS.find((part) => partOf(part) === 'proxy') as Manifest;
    const grace = templateOf(proxy).spec?.terminationGracePeriodSeconds ?? 0;
    assert.ok(grace > proxyFlags['lame-duck'].default + proxyFlags['drain-timeout'].default);
  });
});

describe('install.yaml: pods', () => {
  for (const workload of WORKLOADS) {
    const { name } = workload.metadata;
    const { spec } = templateOf(workload);

    it(`${name}: is valid, and selects its own pods`, () => {
      assert.deepEqual(brokenRules({ spec: spec as NonNullable<typeof spec> }), []);
      assert.ok(
        selects(workload['spec'].selector.matchLabels as Labels, templateOf(workload).metadata?.labels),
      );
      const others = WORKLOADS.filter((other) => other !== workload);
      for (const other of others)
        assert.ok(
          !selects(workload['spec'].selector.matchLabels as Labels, templateOf(other).metadata?.labels),
        );
    });

    it(`${name}: holds to Pod Security restricted, with a read-only root`, () => {
      for (const container of spec?.containers ?? []) {
        const securityContext = { ...spec?.securityContext, ...container.securityContext };
        assert.deepEqual(brokenRestrictedRules({ ...container, securityContext }), []);
        assert.equal(securityContext.readOnlyRootFilesystem, true);
      }
    });

    it(`${name}: has requests, a memory limit, both probes on ports that it declares`, () => {
      for (const { resources } of spec?.containers ?? [])
        assert.ok(
          resources?.requests?.['cpu'] && resources.requests['memory'] && resources.limits?.['memory'],
        );
      const { livenessProbe, readinessProbe, ports } = onlyContainer(workload);
      const names = ports?.map((port) => port.name);
      for (const probe of [livenessProbe, readinessProbe]) assert.ok(names?.includes(portOf(probe)));
    });
  }

  it('disruption budgets select what they are named after', () => {
    const budgets = ofKind(ALL, 'PodDisruptionBudget');
    assert.deepEqual(budgets.map(({ metadata }) => metadata.name).toSorted(), [
      'slimfaas-proxy',
      'slimfaas-scaler',
      'slimfaas-webhook',
    ]);
    for (const { metadata, spec } of budgets) {
      const workload = WORKLOADS.find((candidate) => candidate.metadata.name === metadata.name) as Manifest;
      assert.ok(selects(spec.selector.matchLabels as Labels, templateOf(workload).metadata?.labels));
      assert.equal(spec.maxUnavailable, 1, 'one replica must not hold up a node drain for ever');
    }
  });
});

function portOf(probe: V1Probe | undefined): string | undefined {
  return (probe?.httpGet ?? probe?.tcpSocket)?.port as string | undefined;
}

describe('install.yaml: Services', () => {
  for (const service of SERVICES)
    it(`${service.metadata.name}: leads to exactly one workload, to a port that it declares`, () => {
      const selected = WORKLOADS.filter((workload) =>
        selects(service['spec'].selector as Labels, templateOf(workload).metadata?.labels),
      );
      assert.equal(selected.length, 1);
      const [target] = selected as [Manifest];
      // The issuer lives in the webhook.
      const { name } = service.metadata;
      assert.equal(target.metadata.name, name === 'slimfaas-issuer' ? 'slimfaas-webhook' : name);
      const names = onlyContainer(target).ports?.map(({ name }) => name);
      for (const port of service['spec'].ports) assert.ok(names?.includes(port.targetPort));
    });
});

const PROXY_KEYS = [webhookFlags['proxy-keys-secret'].default];
const IDENTITY = ['slimfaas-identity', 'slimfaas-identity-tls', 'slimfaas-nats-accounts'];

describe('install.yaml: rights', () => {
  const roles = ofKind(ALL, 'Role', 'ClusterRole');
  type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };
  const rulesOf = (role: Manifest) => role['rules'] as Rule[];

  it('bindings join accounts and roles that exist', () => {
    const accounts = new Set(ofKind(ALL, 'ServiceAccount').map(({ metadata }) => metadata.name));
    for (const binding of ofKind(ALL, 'RoleBinding', 'ClusterRoleBinding')) {
      const { kind, name } = binding['roleRef'] as { kind: string; name: string };
      assert.ok(roles.some((role) => role.kind === kind && role.metadata.name === name));
      for (const subject of binding['subjects']) assert.ok(accounts.has(subject.name));
    }
  });

  /** Not of functions.slimfaas.dev, which is no kind of the API. */
  const inTheApi = (rule: { apiGroups: readonly string[] }): boolean =>
    !rule.apiGroups.includes('slimfaas.dev');
  /** For people; no part is bound to it. */
  const FOR_PEOPLE = 'slimfaas-operator-token';

  it('no rule has a wildcard, and none lets a part delete anything but our EndpointSlices', () => {
    for (const role of roles)
      for (const rule of rulesOf(role)) {
        assert.ok(![...rule.apiGroups, ...rule.resources, ...rule.verbs].includes('*'));
        const isOfParts = inTheApi(rule) && role.metadata.name !== FOR_PEOPLE;
        if (isOfParts && rule.verbs.some((verb) => verb.startsWith('delete')))
          assert.deepEqual(rule.resources, ['endpointslices']);
      }
    const bound = ofKind(ALL, 'RoleBinding', 'ClusterRoleBinding').map((binding) => binding['roleRef'].name);
    assert.ok(!bound.includes(FOR_PEOPLE));
  });

  it('the proxy only reads', () => {
    const proxy = roles
      .filter(({ metadata }) => metadata.name === 'slimfaas-proxy')
      .flatMap(rulesOf)
      .filter(inTheApi);
    const verbs = new Set(proxy.flatMap(({ verbs: some }) => some));
    assert.deepEqual([...verbs].toSorted(), ['list', 'watch']);
    assert.ok(!proxy.some(({ resources }) => resources.includes('secrets')));
  });

  it('Secrets are read and changed by their names, in one namespace, by the webhook; proxies read one', () => {
    for (const role of roles)
      for (const rule of rulesOf(role).filter(({ resources }) => resources.includes('secrets'))) {
        const names = {
          'slimfaas-webhook': [webhookFlags['secret-name'].default],
          'slimfaas-issuer': IDENTITY,
          'slimfaas-proxy-keys-keeper': PROXY_KEYS,
          'slimfaas-proxy-keys': PROXY_KEYS,
        };
        const { name } = role.metadata;
        assert.equal(role.kind, 'Role');
        assert.ok(name in names, name);
        if (name === 'slimfaas-proxy-keys') assert.deepEqual(rule.verbs, ['get']);
        if (!rule.verbs.includes('create'))
          assert.deepEqual(rule.resourceNames, names[name as keyof typeof names]);
      }
  });

  it('names match the defaults of the flags that use them', () => {
    const names = new Set(roles.flatMap(rulesOf).flatMap(({ resourceNames = [] }) => resourceNames));
    assert.ok(names.has(webhookFlags['webhook-configuration'].default));
    assert.ok(names.has(scalerFlags['lease-name'].default));
  });
});

describe('install.yaml: the webhook configuration', () => {
  const [configuration] = ofKind(ALL, 'MutatingWebhookConfiguration') as [Manifest];
  const [webhook] = configuration['webhooks'];

  it('is called for annotated pods at their creation only, and fails closed', () => {
    assert.deepEqual(webhook.rules, [
      {
        operations: ['CREATE'],
        apiGroups: [''],
        apiVersions: ['v1'],
        resources: ['pods'],
        scope: 'Namespaced',
      },
    ]);
    assert.match(
      webhook.matchConditions[0].expression,
      /'SlimFaas\/Function' in object\.metadata\.annotations/,
    );
    assert.equal(webhook.failurePolicy, 'Fail');
    assert.equal(webhook.reinvocationPolicy, 'IfNeeded');
    assert.equal(webhook.sideEffects, 'None');
    assert.equal(webhook.timeoutSeconds, 5);
    assert.deepEqual(webhook.admissionReviewVersions, ['v1']);
  });

  it('points at the Service and carries the name that the webhook looks for', () => {
    const { name, namespace, port, path } = webhook.clientConfig.service;
    assert.equal(configuration.metadata.name, webhookFlags['webhook-configuration'].default);
    assert.equal(name, webhookFlags['service-name'].default);
    assert.equal(namespace, webhookFlags.namespace.default);
    assert.equal(path, '/mutate');
    const service = SERVICES.find(({ metadata }) => metadata.name === name);
    assert.equal(service?.['spec'].ports[0].port, port);
  });
});
