/** The chart, rendered by a real helm: with what platform teams set, and with what they get wrong. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it, test } from 'node:test';
import { parse } from 'yaml';
import { envName, readFlags, type FlagTable } from '../../common/runtime/flags.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { CHART, helm, helmTemplate } from '../../manifests/helm.ts';
import { renderInstallYaml } from '../../manifests/install-yaml.ts';
import { OWN_FLAGS, valuesSchemaText } from '../../manifests/values-schema.ts';
import { brokenRestrictedRules, brokenRules } from '../webhook/pod-rules.ts';
import { ofKind, renderChart, selects, templateOf, type Labels, type Manifest } from './manifests.ts';
import { expand, onlyContainer, partOf, serviceVariables, TABLES } from './parts.ts';
import { REFUSALS, VALUE_SETS } from './value-sets.ts';

function read(path: string): string {
  return readFileSync(join(CHART, path), 'utf8');
}

describe('what is rendered and kept in the repository', () => {
  const ADVICE = 'run `npm run manifests`';

  it('install.yaml is what the chart renders', async () => {
    assert.equal(read('../install.yaml'), await renderInstallYaml(), ADVICE);
  });

  it('values.schema.json is what the flags say', () => {
    assert.equal(read('values.schema.json'), valuesSchemaText(), ADVICE);
  });

  it('the chart and its image have the version of package.json', () => {
    const chart = parse(read('Chart.yaml')) as { version: string; appVersion: string };
    assert.deepEqual([chart.version, chart.appVersion], [VERSION, VERSION]);
  });

  it('every value that the schema allows stands in values.yaml, but for flags and what is only sometimes said', () => {
    const values = new Set(leaves(parse(read('values.yaml')) as object));
    const optional = /^(global|\w+\.flags\..*|sidecar\.resources\..*|.*\.(ephemeral-storage|limits\.cpu))$/;
    assert.deepEqual(
      schemaLeaves(JSON.parse(valuesSchemaText()) as SchemaNode).filter(
        (name) => !optional.test(name) && !values.has(name),
      ),
      [],
    );
  });
});

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
}

function schemaLeaves(node: SchemaNode, path = ''): string[] {
  if (!node.properties) return [path];
  return Object.entries(node.properties).flatMap(([name, inner]) =>
    schemaLeaves(inner, path === '' ? name : `${path}.${name}`),
  );
}

function leaves(value: object, path = ''): string[] {
  return Object.entries(value).flatMap(([name, inner]: [string, unknown]) => {
    const place = path === '' ? name : `${path}.${name}`;
    const isMap = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
    return isMap && Object.keys(inner).length > 0 ? leaves(inner, place) : [place];
  });
}

for (const [what, values] of Object.entries(VALUE_SETS))
  describe(`the chart: ${what}`, () => {
    let all: Manifest[];
    let workloads: Manifest[];
    before(async () => {
      all = await renderChart(values);
      workloads = ofKind(all, 'Deployment', 'StatefulSet');
    });

    it('passes helm lint --strict', async () => {
      const { stdout, code } = await helm(
        ['lint', '--strict', CHART, '--values', '-'],
        JSON.stringify(values),
      );
      assert.equal(code, 0, stdout);
    });

    it('no two objects are the same, and each is where it belongs', () => {
      const names = all.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
      assert.deepEqual(names.toSorted(), [...new Set(names)].toSorted());
      const allowed = new Set(['slimfaas', ...((values as { namespaces?: string[] }).namespaces ?? [])]);
      for (const { kind, metadata } of all) {
        const isOfCluster =
          /^(Namespace|ClusterRole|ClusterRoleBinding|MutatingWebhook.*|ValidatingAdmission.*)$/.test(kind);
        assert.equal(metadata.namespace === undefined, isOfCluster, `${kind} ${metadata.name}`);
        assert.ok(isOfCluster || allowed.has(metadata.namespace ?? ''), `${kind} ${metadata.name}`);
      }
    });

    it('each part is given flags that it knows, with values that it accepts, and none of them twice', () => {
      const variables = Object.assign({}, ...ofKind(all, 'Service').map(serviceVariables)) as Record<
        string,
        string
      >;
      const parts = workloads.filter((workload) => partOf(workload) !== undefined);
      assert.equal(parts.length, 3);
      for (const workload of parts) {
        const part = partOf(workload) as keyof typeof OWN_FLAGS;
        const { args = [], env = [] } = onlyContainer(workload);
        const given = args.slice(1).map((arg) => expand(arg, variables));
        assert.doesNotMatch(given.join(' '), /\$\(/, 'every $(VARIABLE) has a value');
        const texts = Object.fromEntries(env.map(({ name, value = '' }) => [name, value]));
        readFlags(TABLES[part] as FlagTable, given, texts);
        assert.ok(given.every((arg) => OWN_FLAGS[part].includes(arg.slice(2).split('=')[0] ?? '')));
        const known = new Set(Object.keys(TABLES[part] as FlagTable).map(envName));
        for (const name of Object.keys(texts)) assert.ok(known.has(name), name);
      }
    });

    it('selectors meet the labels of the pods that they mean, and Services ports that are declared', () => {
      for (const workload of workloads)
        assert.ok(selects(workload['spec'].selector.matchLabels as Labels, labelsOf(workload)));
      const servedBy: Readonly<Record<string, string | undefined>> = {
        'slimfaas-issuer': 'slimfaas-webhook',
        'slimfaas-nats': ofKind(all, 'StatefulSet')[0]?.metadata.name,
      };
      for (const { metadata, spec } of ofKind(all, 'Service')) {
        const selected = workloads.filter((workload) => selects(spec.selector as Labels, labelsOf(workload)));
        assert.deepEqual(
          selected.map((workload) => workload.metadata.name),
          [servedBy[metadata.name] ?? metadata.name],
        );
        const declared = onlyContainer(selected[0] as Manifest).ports?.map(({ name }) => name);
        for (const { targetPort } of spec.ports) assert.ok(declared?.includes(targetPort), targetPort);
      }
      for (const { metadata, spec } of ofKind(all, 'PodDisruptionBudget')) {
        const name = servedBy[metadata.name] ?? metadata.name;
        const workload = workloads.find((candidate) => candidate.metadata.name === name);
        assert.ok(workload && selects(spec.selector.matchLabels as Labels, labelsOf(workload)));
      }
    });

    it('bindings join accounts and roles that exist, and each part has the account of its name', () => {
      const accounts = new Set(ofKind(all, 'ServiceAccount').map(({ metadata }) => metadata.name));
      for (const binding of ofKind(all, 'RoleBinding', 'ClusterRoleBinding')) {
        const { kind, name } = binding['roleRef'] as { kind: string; name: string };
        assert.ok(
          all.some((role) => role.kind === kind && role.metadata.name === name),
          name,
        );
        for (const subject of binding['subjects']) {
          assert.equal(subject.namespace, 'slimfaas');
          assert.ok(accounts.has(subject.name), subject.name);
        }
      }
      for (const workload of ofKind(all, 'Deployment'))
        assert.equal(templateOf(workload).spec?.serviceAccountName, workload.metadata.name);
    });

    it('pods are valid, hold to Pod Security restricted, and mount what they have', () => {
      for (const workload of workloads) {
        const { spec } = templateOf(workload);
        assert.ok(spec);
        assert.deepEqual(brokenRules({ spec }), []);
        const container = onlyContainer(workload);
        const securityContext = { ...spec.securityContext, ...container.securityContext };
        assert.deepEqual(brokenRestrictedRules({ ...container, securityContext }), []);
        const volumes = [
          ...(spec.volumes ?? []),
          ...((workload['spec'].volumeClaimTemplates ?? []) as Manifest[]),
        ];
        const names = volumes.map((volume) => ('metadata' in volume ? volume.metadata?.name : volume.name));
        assert.deepEqual(
          (container.volumeMounts ?? []).map(({ name }) => name),
          names,
        );
      }
    });
  });

function labelsOf(workload: Manifest): Labels {
  return templateOf(workload).metadata?.labels ?? {};
}

test('in a namespace of another name nothing points at the one that it usually has', async () => {
  const values = { createNamespace: true, webhook: { certManager: { issuer: 'ca' } } };
  const { stdout } = await helmTemplate(values, '--namespace', 'functions');
  const text = stdout.replaceAll(/^# Source: .*$/gm, '').replaceAll(/^ *#.*$/gm, '');
  assert.doesNotMatch(text, /namespace: ['"]?slimfaas\b|slimfaas\.svc|inject-ca-from: slimfaas/);
  assert.match(text, /service: \{ name: slimfaas-webhook, namespace: 'functions',/);
});

test('a flag is either the chart’s own or a value', () => {
  for (const [part, own] of Object.entries(OWN_FLAGS)) {
    const known = new Set(Object.keys(TABLES[part] as FlagTable));
    assert.deepEqual(
      own.filter((flag) => !known.has(flag)),
      [],
      part,
    );
  }
});

describe('a wrong value is an error that names it', () => {
  for (const [values, message] of REFUSALS)
    it(JSON.stringify(values), async () => {
      const { stderr, code } = await helmTemplate(values);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    });
});

describe('two installations in one cluster', () => {
  it('share no name that the whole cluster shares, and each webhook tends its own configuration', async () => {
    const seen = new Map<string, string>();
    for (const namespace of ['slimfaas', 'shop', 'slimfaas-shop']) {
      const args = [
        'template',
        'slimfaas',
        CHART,
        '--namespace',
        namespace,
        '--set',
        `namespaces={${namespace}}`,
      ];
      const { stdout } = await helm(args);
      const all = stdout.split(/^---\n/m).map((text) => parse(text) as Manifest | null);
      const ofCluster = all.filter(
        (object) => object && object.metadata.namespace === undefined,
      ) as Manifest[];
      assert.equal(ofCluster.length, 14, namespace);
      for (const { kind, metadata } of ofCluster) {
        const name = `${kind} ${metadata.name}`;
        assert.equal(seen.get(name), undefined, `${name} of ${namespace}`);
        seen.set(name, namespace);
      }
      const configuration = ofCluster.find(({ kind }) => kind === 'MutatingWebhookConfiguration')?.metadata
        .name;
      const flag = /--webhook-configuration=(\S+)/.exec(stdout)?.[1] ?? 'slimfaas';
      assert.equal(flag, configuration);
    }
  });
});
