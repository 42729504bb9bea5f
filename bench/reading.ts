/**
 * What reading the cluster costs: 10,000 pods and 10,000 Deployments as a watch brings them, half of them
 * functions', through the readers of the proxy and of the scaler. At a start, and after a watch broke, each is read
 * once; a pod that starts or stops is read about eight times.
 */
import type { V1Deployment, V1Pod } from '../common/kube/client.ts';
import { viewWorkload } from '../proxy/functions/function-view.ts';
import { viewPod } from '../proxy/pods/pod-view.ts';
import { readWorkload } from '../common/kube/model/workload.ts';
import { podOf } from '../scaler/world/kube-objects.ts';
import { median, type Bench, type Row } from './lib/bench.ts';

const OBJECTS = 10_000;

export const bench: Bench = {
  name: 'reading',
  describe: 'reading 10,000 pods and 10,000 Deployments: the CPU for each, by proxy and scaler',
  async run({ quick, say }) {
    const pods = Array.from({ length: OBJECTS }, (_, i) => copied(podObject(i)));
    const deployments = Array.from({ length: OBJECTS }, (_, i) => copied(deploymentObject(i)));
    say('made');
    const known = deployments.map((each) => readWorkload('Deployment', each, undefined));
    const readers: readonly (readonly [string, () => unknown[]])[] = [
      ['proxy, a pod', () => pods.map((pod) => viewPod(pod))],
      [
        'proxy, a Deployment',
        () => deployments.map((each) => viewWorkload(readWorkload('Deployment', each))),
      ],
      [
        'proxy, a Deployment that is known',
        () => deployments.map((each, i) => viewWorkload(readWorkload('Deployment', each, known[i]))),
      ],
      ['scaler, a pod', () => pods.map((pod) => podOf(pod))],
      ['scaler, a Deployment', () => deployments.map((each) => readWorkload('Deployment', each, undefined))],
      [
        'scaler, a Deployment that is known',
        () => deployments.map((each, i) => readWorkload('Deployment', each, known[i])),
      ],
    ];
    return readers.map(([name, read]) => measure(name, read, quick ? 10 : 40));
  },
};

/** The middle round: the first ones are compiled meanwhile. */
function measure(name: string, read: () => unknown[], rounds: number): Row {
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = process.threadCpuUsage();
    const kept = read();
    const { user, system } = process.threadCpuUsage(before);
    costs.push((user + system) / kept.length);
  }
  return { case: name, metric: 'CPU', value: median(costs), unit: 'µs' };
}

/** As parsed from the API's answer: no two share a string. */
function copied<T>(object: T): T {
  return JSON.parse(JSON.stringify(object)) as T;
}

const isFunction = (i: number) => i % 2 === 0;

function annotationsOf(i: number): Record<string, string> {
  if (!isFunction(i)) return { 'prometheus.io/scrape': 'false', checksum: `c${i}` };
  return {
    'SlimFaas/Function': 'true',
    'SlimFaas/NumberParallelRequestPerPod': '5',
    'SlimFaas/PathsStartWithVisibility': 'Private:/admin',
  };
}

function podObject(i: number): V1Pod {
  const names = isFunction(i) ? ['app', 'slimfaas-sidecar'] : ['app', 'agent'];
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: `f${i}-5d4f`,
    uid: `r${i}`,
    controller: true,
  };
  const status: Record<string, string> = isFunction(i)
    ? { 'slimfaas.dev/status': '{"version":"0.1.0","hash":"x"}' }
    : {};
  return {
    metadata: {
      name: `f${i}-5d4f-abcde`,
      namespace: 'bench',
      uid: `u${i}`,
      labels: { app: `f${i}`, 'pod-template-hash': '5d4f' },
      annotations: { ...annotationsOf(i), ...status },
      ownerReferences: [owner],
    },
    spec: { nodeName: 'node', containers: names.map((name) => containerObject(name)) },
    status: {
      phase: 'Running',
      podIP: `10.1.${i % 256}.1`,
      podIPs: [{ ip: `10.1.${i % 256}.1` }],
      conditions: conditionsOf(i),
      containerStatuses: names.map((name) => statusOf(name, isReady(i))),
    },
  };
}

/** One pod in eight is on its way. */
const isReady = (i: number) => i % 8 > 1;

function conditionsOf(i: number): NonNullable<V1Pod['status']>['conditions'] {
  const ready = isReady(i) ? 'True' : 'False';
  return [
    { type: 'PodReadyToStartContainers', status: 'True' },
    { type: 'Initialized', status: 'True' },
    { type: 'Ready', status: ready },
    { type: 'ContainersReady', status: ready },
    { type: 'PodScheduled', status: 'True' },
  ];
}

function containerObject(name: string): NonNullable<V1Pod['spec']>['containers'][number] {
  const env = Array.from({ length: 20 }, (_, i) => ({ name: `VARIABLE_${i}`, value: `value ${i}` }));
  return {
    name,
    image: `registry.example/${name}:1`,
    env: [...env, { name: 'SLIMFAAS_DRAIN_TOKEN', value: 'token' }],
    ports: [{ containerPort: 8080, name: 'http' }],
    readinessProbe: { httpGet: { path: '/', port: 8080 } },
  };
}

function statusOf(name: string, ready: boolean) {
  const state = { running: { startedAt: new Date(0) } };
  const image = `registry.example/${name}:1`;
  return { name, image, imageID: image, ready, restartCount: 0, started: true, state, lastState: {} };
}

function deploymentObject(i: number): V1Deployment {
  const spec = { containers: [containerObject('app')] };
  return {
    metadata: { name: `f${i}`, namespace: 'bench', uid: `u${i}`, resourceVersion: `${i}`, generation: 2 },
    spec: { replicas: 1, selector: {}, template: { metadata: { annotations: annotationsOf(i) }, spec } },
    status: {
      replicas: 1,
      readyReplicas: 1,
      observedGeneration: 2,
      conditions: [
        { type: 'Available', status: 'True' },
        { type: 'Progressing', status: 'True' },
      ],
    },
  };
}
