/**
 * `slimfaas release`: what comes before an uninstall, so that no caller notices it. It stops the scaler, so that
 * nothing is put to sleep any more. It gives every function at zero its pods. When they are ready it takes away the
 * EndpointSlices that led their Services to the proxies. It asks Kubernetes alone, with the rights of who calls it.
 *
 * Room `cli/release`: slimfaas release: functions that stand without slimfaas.
 * Comes in: workloads, EndpointSlices.
 * Goes out: counts of replicas, deleted EndpointSlices.
 */
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { V1Deployment, V1StatefulSet } from '../../common/kube/client.ts';
import { hasEnded } from '../../common/kube/model/pod.ts';
import { readWorkload, type WorkloadModel } from '../../common/kube/model/workload.ts';
import { readWakeSlice, wakeSliceSelector, type WakeSlice } from '../../common/kube/wake-slice.ts';
import type { FlagValues } from '../../common/runtime/flags.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { kubeFault, loadCluster, setReplicas, type ReachedCluster } from '../reach/cluster.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { releaseFlags } from '../people-flags.ts';

const SCALER = 'slimfaas-scaler';
const SCALER_LABELS = 'app.kubernetes.io/name=slimfaas,app.kubernetes.io/component=scaler';
const POLL_MS = 500;
/** Kubernetes has written a ready pod into the slices of its Services by then, as a rule. */
const ENDPOINTS_MS = 10_000;

/** The exit code is 1 if a function has no ready pod in time. Its slice stays, and the command can be run again. */
export async function runRelease(argv: Parsed): Promise<void> {
  const flags = flagValues(releaseFlags, argv);
  const cluster = loadCluster(flags);
  try {
    await release(cluster, flags);
  } catch (cause) {
    throw new Error(kubeFault(cause), { cause });
  }
}

async function release(cluster: ReachedCluster, flags: FlagValues<typeof releaseFlags>): Promise<void> {
  const system = flags['system-namespace'];
  const deadline = performance.now() + flags.wait * 1_000;
  const scopes = await stopScaler(cluster, system, deadline);
  console.log(`${system}/${SCALER}: stopped; to take it up again: helm upgrade, or kubectl scale`);
  const asleep = (await functionsIn(cluster, scopes)).filter(({ replicas }) => replicas === 0);
  for (const workload of asleep) {
    const count = workload.fn?.spec.replicasAtStart ?? 1;
    await setReplicas(cluster, workload.kind, workload.id, count);
    console.log(`${workload.key}: ${count} ${count === 1 ? 'replica' : 'replicas'}`);
  }
  const late = await waitUntilReady(cluster, scopes, deadline);
  const until = Math.max(deadline, performance.now() + ENDPOINTS_MS);
  const { removed, left } = await removeSlices(cluster, scopes, system, late.length > 0 ? 0 : until);
  console.log(`${removed} EndpointSlices removed`);
  const behind = new Set([...late, ...left]);
  if (behind.size === 0) return void console.log('now uninstall slimfaas');
  for (const key of behind)
    console.log(`${key}: no ready pod after ${flags.wait} s; its Services still lead to the proxies`);
  process.exitCode = 1;
}

/** Undefined: all namespaces. */
type Scopes = readonly (string | undefined)[];

/** @returns the namespaces that it served */
async function stopScaler(cluster: ReachedCluster, namespace: string, deadline: number): Promise<Scopes> {
  const { apps, core } = cluster;
  const scaler = await apps.readNamespacedDeployment({ name: SCALER, namespace }).catch((cause: unknown) => {
    const hint = '--system-namespace says where slimfaas is installed';
    throw new Error(`${namespace}/${SCALER}: ${kubeFault(cause)}; ${hint}`, { cause });
  });
  await setReplicas(cluster, 'Deployment', { namespace, name: SCALER }, 0);
  for (;;) {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: SCALER_LABELS });
    // One that was evicted stays for as long as nobody deletes it.
    if (items.every(hasEnded)) break;
    if (performance.now() > deadline)
      throw new Error(`${namespace}/${SCALER} does not end; nothing else was changed`);
    await sleep(POLL_MS);
  }
  const args = scaler.spec?.template.spec?.containers[0]?.args ?? [];
  const given = args.find((arg) => arg.startsWith('--namespaces='))?.slice('--namespaces='.length) ?? '';
  const names = given.split(',').filter((name) => name !== '');
  return names.length > 0 ? names : [undefined];
}

async function functionsIn({ apps }: ReachedCluster, scopes: Scopes): Promise<WorkloadModel[]> {
  const all: WorkloadModel[] = [];
  const add = (kind: 'Deployment' | 'StatefulSet', items: (V1Deployment | V1StatefulSet)[]) =>
    all.push(...items.map((object) => readWorkload(kind, object)));
  for (const namespace of scopes) {
    const isAll = namespace === undefined;
    add(
      'Deployment',
      (await (isAll ? apps.listDeploymentForAllNamespaces() : apps.listNamespacedDeployment({ namespace })))
        .items,
    );
    add(
      'StatefulSet',
      (await (isAll ? apps.listStatefulSetForAllNamespaces() : apps.listNamespacedStatefulSet({ namespace })))
        .items,
    );
  }
  return all.filter(({ fn }) => fn !== undefined);
}

/** @returns `namespace/name` of those that are not ready in time */
async function waitUntilReady(cluster: ReachedCluster, scopes: Scopes, deadline: number): Promise<string[]> {
  for (;;) {
    const all = await functionsIn(cluster, scopes);
    const late = all.filter(({ replicas: wanted, readyReplicas }) => wanted > 0 && readyReplicas === 0);
    if (late.length === 0 || performance.now() > deadline) return late.map(({ key }) => key);
    await sleep(POLL_MS);
  }
}

/**
 * Takes away each slice whose Service has a ready pod in a slice of Kubernetes' own. Whoever watches slices hears of
 * them in the order in which they were written: of the pod before of this.
 * @returns also the functions, `namespace/name`, of those that are left when time is up
 */
async function removeSlices(
  cluster: ReachedCluster,
  scopes: Scopes,
  system: string,
  deadline: number,
): Promise<{ readonly removed: number; readonly left: readonly string[] }> {
  for (let removed = 0; ; await sleep(POLL_MS)) {
    const left: string[] = [];
    for (const { namespace, name, service, wakes } of await ownSlices(cluster, scopes, system))
      if (await hasReadyPod(cluster, namespace, service)) {
        await deleteSlice(cluster, { namespace, name });
        removed++;
      } else left.push(`${namespace}/${wakes}`);
    if (left.length === 0 || performance.now() > deadline) return { removed, left };
  }
}

/** Kubernetes may have been faster: it collects slices whose Service is gone. */
async function deleteSlice({ discovery }: ReachedCluster, id: FunctionId): Promise<void> {
  try {
    await discovery.deleteNamespacedEndpointSlice(id);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 404) throw error;
  }
}

async function ownSlices(
  { discovery }: ReachedCluster,
  scopes: Scopes,
  system: string,
): Promise<readonly WakeSlice[]> {
  const labelSelector = wakeSliceSelector(system);
  const lists = scopes.map((namespace) =>
    namespace === undefined
      ? discovery.listEndpointSliceForAllNamespaces({ labelSelector })
      : discovery.listNamespacedEndpointSlice({ namespace, labelSelector }),
  );
  return (await Promise.all(lists)).flatMap(({ items }) =>
    items.flatMap((slice) => readWakeSlice(slice) ?? []),
  );
}

async function hasReadyPod(
  { discovery }: ReachedCluster,
  namespace: string,
  service: string,
): Promise<boolean> {
  const labelSelector = `kubernetes.io/service-name=${service}`;
  const { items } = await discovery.listNamespacedEndpointSlice({ namespace, labelSelector });
  const others = items.filter((slice) => readWakeSlice(slice) === undefined);
  return others.some(({ endpoints }) => endpoints?.some(({ conditions }) => conditions?.ready === true));
}
