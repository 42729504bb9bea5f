/** `nats.replicas: 3` of the chart. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1PodSpec, V1StatefulSet } from '../../common/kube/client.ts';
import { readFlags } from '../../common/runtime/flags.ts';
import { natsStreamsFlags } from '../../cli/parts/nats-streams.ts';
import { createAuthority, isForNames, issueCertificate } from '../../webhook/certificates/x509.ts';
import { serverNames } from '../../webhook/issuer/of-config.ts';
import { ofKind, renderChart, type Manifest } from './manifests.ts';
import { VALUE_SETS } from './value-sets.ts';

const NAME = 'slimfaas-nats-cluster';

async function rendered(values: object) {
  const all = await renderChart(values);
  const one = (kind: string, name: string): Manifest => {
    const found = ofKind(all, kind).filter(({ metadata }) => metadata.name === name);
    assert.equal(found.length, 1, `${kind} ${name}`);
    return found[0] as Manifest;
  };
  const set = one('StatefulSet', NAME)['spec'] as NonNullable<V1StatefulSet['spec']>;
  return { all, one, set, pod: set.template.spec as V1PodSpec };
}

const three = VALUE_SETS['NATS of three'] as object;

describe('NATS of three', () => {
  it('three servers in one StatefulSet, on volumes of other names than a single server’s', async () => {
    const { all, set } = await rendered(three);
    assert.equal(ofKind(all, 'StatefulSet').length, 1);
    assert.equal(set.replicas, 3);
    // No server is ready alone, so none may wait for another's readiness.
    assert.equal(set.podManagementPolicy, 'Parallel');
    assert.deepEqual(
      set.volumeClaimTemplates?.map(({ metadata }) => metadata?.name),
      ['data'],
    );
  });

  it('they find each other by names that their certificate has, before they are ready', async () => {
    const { one, pod } = await rendered(three);
    const flags = readFlags(natsStreamsFlags, (pod.initContainers?.[0]?.args ?? []).slice(1), {});
    assert.equal(flags['cluster-listen'], '0.0.0.0:6222');
    assert.equal(flags['cluster-tls-dir'], '/identity');
    const hosts = flags['cluster-routes'].map((route) => route.split(':')[0] as string);
    assert.deepEqual(
      hosts,
      [0, 1, 2].map((index) => `${NAME}-${index}.${NAME}.slimfaas.svc`),
    );
    const names = serverNames({
      namespace: 'slimfaas',
      'nats-service': 'slimfaas-nats',
      'issuer-service': 'x',
    });
    const validity = { nowMs: Date.now(), validMs: 60_000 };
    const { certificate } = await issueCertificate(await createAuthority(validity), names, validity);
    assert.ok(isForNames(certificate, [...hosts, 'slimfaas-nats.slimfaas.svc']));
    const { spec } = one('Service', NAME);
    assert.equal(spec.clusterIP, 'None');
    assert.equal(spec.publishNotReadyAddresses, true);
    assert.deepEqual(pod.containers[0]?.args?.slice(0, 1), ['--name=$(POD_NAME)']);
  });

  it('they are spread over nodes where that is possible, and a drain takes one at a time', async () => {
    const { one, pod } = await rendered(three);
    const [term] = pod.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    assert.equal(term?.podAffinityTerm.topologyKey, 'kubernetes.io/hostname');
    assert.equal(one('PodDisruptionBudget', 'slimfaas-nats')['spec'].maxUnavailable, 1);
    const { all } = await rendered({ nats: { replicas: 3, podDisruptionBudget: false } });
    const names = ofKind(all, 'PodDisruptionBudget').map(({ metadata }) => metadata.name);
    assert.ok(!names.includes('slimfaas-nats'));
  });

  it('each job is kept by all three, and clients use the one Service', async () => {
    const { one } = await rendered(three);
    const args = (one('Deployment', 'slimfaas-scaler')['spec'].template.spec as V1PodSpec).containers[0]
      ?.args;
    assert.ok(args?.includes('--job-replicas=3'));
    assert.ok(args?.includes('--nats=nats://slimfaas-nats.slimfaas.svc:4222'));
    assert.equal(one('Service', 'slimfaas-nats')['spec'].ports[0].port, 4222);
  });

  it('only the servers reach the port for each other', async () => {
    const { one } = await rendered(three);
    const { ingress } = one('NetworkPolicy', 'slimfaas-nats')['spec'] as {
      ingress: { from: object[]; ports: object[] }[];
    };
    const rule = ingress.find(({ ports }) => JSON.stringify(ports).includes('"cluster"'));
    assert.deepEqual(rule?.from, [
      {
        podSelector: {
          matchLabels: { 'app.kubernetes.io/name': 'slimfaas', 'app.kubernetes.io/component': 'nats' },
        },
      },
    ]);
  });

  it('an address of IPv6 to listen on; without identities the servers have no certificates', async () => {
    const { pod } = await rendered(VALUE_SETS['NATS of three, of IPv6, which asks nobody'] as object);
    const flags = readFlags(natsStreamsFlags, (pod.initContainers?.[0]?.args ?? []).slice(1), {});
    assert.equal(flags['cluster-listen'], '[::]:6222');
    assert.equal(flags['cluster-tls-dir'], '');
  });
});
