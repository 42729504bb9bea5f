/**
 * Deployments: one ReplicaSet a template (found by its pod-template-hash), RollingUpdate and Recreate,
 * pause, revisions, and a status that `kubectl rollout status` can follow. What it gives up: adopting
 * ReplicaSets that nobody owns, and hash collisions.
 */
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../api/objects/types.ts';
import type { ControllerContext } from '../context.ts';
import { countsOf, deploymentStatus, wantedReplicas } from './deployment-status.ts';
import { controllerOf, controllerReference, isOwnedBy, isTerminal, objectKey, splitKey } from './objects.ts';
import { templateHash } from './pods.ts';
import { nextNewSize, nextOldSizes, rollingLimits, type SetSize } from './rolling.ts';
import { createWorkqueue, type Workqueue } from '../workqueue.ts';

const HASH_LABEL = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';
/** Not handed on to ReplicaSets. */
const OWN_ANNOTATIONS = new Set([REVISION, 'kubectl.kubernetes.io/last-applied-configuration']);

export function startDeployments(context: ControllerContext): Workqueue {
  const { api, log } = context;
  const queue = createWorkqueue('deployment', (key) => reconcile(context, key, queue), log);
  const unwatch = [
    api.watch('deployments', (type, deployment) => {
      if (type !== 'DELETED') queue.add(objectKey(deployment));
    }),
    api.watch('replicasets', (_type, set) => {
      const owner = controllerOf(set);
      if (owner?.kind === 'Deployment') queue.add(`${set.metadata.namespace}/${owner.name}`);
    }),
    // Recreate waits for the last old pod to be gone, which no ReplicaSet's status tells.
    api.watch('pods', (type, pod) => {
      const hash = pod.metadata.labels?.[HASH_LABEL];
      const owner = type === 'DELETED' ? controllerOf(pod)?.name : undefined;
      if (hash && owner?.endsWith(`-${hash}`))
        queue.add(`${pod.metadata.namespace}/${owner.slice(0, -hash.length - 1)}`);
    }),
  ];
  return {
    ...queue,
    async stop() {
      for (const release of unwatch) release();
      await queue.stop();
    },
  };
}

async function reconcile(context: ControllerContext, key: string, queue: Workqueue): Promise<void> {
  const { namespace, name } = splitKey(key);
  const deployment = context.api.get('deployments', namespace, name);
  if (!deployment || deployment.metadata.deletionTimestamp !== undefined) return;
  const isPaused = deployment.spec.paused === true;
  const { newSet, oldSets } = setsOf(context, deployment);
  if (isPaused) await scaleOnly(context, deployment, [newSet, ...oldSets]);
  else if (deployment.spec.strategy?.type === 'Recreate') await recreate(context, deployment);
  else await roll(context, deployment);
  await writeStatus(context, deployment);
  const deadline = ((deployment.spec.progressDeadlineSeconds as number | undefined) ?? 600) * 1000;
  const fresh = context.api.get('deployments', namespace, name);
  const isOnItsWay = fresh?.status?.conditions?.some(
    (c: { type: string; reason?: string }) => c.type === 'Progressing' && c.reason === 'ReplicaSetUpdated',
  );
  if (isOnItsWay) queue.addAfter(key, deadline + 1000);
}

interface Sets {
  readonly newSet: KubeObject | undefined;
  /** Oldest first. */
  readonly oldSets: readonly KubeObject[];
}

function setsOf({ api }: ControllerContext, deployment: KubeObject): Sets {
  const hash = templateHash(deployment.spec.template);
  const owned = api
    .list('replicasets', { namespace: deployment.metadata.namespace ?? '' })
    .filter((set) => isOwnedBy(set, deployment))
    .toSorted((a, b) => revisionOf(a) - revisionOf(b));
  return {
    newSet: owned.find((set) => set.metadata.labels?.[HASH_LABEL] === hash),
    oldSets: owned.filter((set) => set.metadata.labels?.[HASH_LABEL] !== hash),
  };
}

async function roll(context: ControllerContext, deployment: KubeObject): Promise<void> {
  const limits = rollingLimits(wantedReplicas(deployment), deployment.spec.strategy?.rollingUpdate);
  const { newSet: found, oldSets } = setsOf(context, deployment);
  const old = oldSets.map(sizeOf);
  const unborn = { name: '', replicas: 0, available: 0 };
  const newSet = found ?? (await createSet(context, deployment, nextNewSize(limits, unborn, old), oldSets));
  await markNewest(context, deployment, newSet, oldSets);
  const size = nextNewSize(limits, sizeOf(newSet), old);
  if (size !== sizeOf(newSet).replicas) {
    await scaleSet(context, deployment, newSet, size);
    return; // its status brings us back
  }
  for (const [name, replicas] of nextOldSizes(limits, sizeOf(newSet), old)) {
    const set = oldSets.find((candidate) => candidate.metadata.name === name) as KubeObject;
    if (sizeOf(set).replicas !== replicas) await scaleSet(context, deployment, set, replicas);
  }
  await prune(context, deployment, newSet, oldSets);
}

async function recreate(context: ControllerContext, deployment: KubeObject): Promise<void> {
  const { newSet, oldSets } = setsOf(context, deployment);
  for (const set of oldSets) {
    if (sizeOf(set).replicas > 0) await scaleSet(context, deployment, set, 0);
  }
  const names = new Set(oldSets.map((set) => set.metadata.uid));
  const pods = context.api.list('pods', { namespace: deployment.metadata.namespace ?? '' });
  const isOldLeft = pods.some((pod) => names.has(controllerOf(pod)?.uid ?? '') && !isTerminal(pod));
  if (isOldLeft) return;
  const wanted = wantedReplicas(deployment);
  const set = newSet ?? (await createSet(context, deployment, wanted, oldSets));
  await markNewest(context, deployment, set, oldSets);
  if (sizeOf(set).replicas !== wanted) await scaleSet(context, deployment, set, wanted);
  await prune(context, deployment, set, oldSets);
}

/** A paused deployment still follows `replicas`, where it is plain which set is meant. */
async function scaleOnly(
  context: ControllerContext,
  deployment: KubeObject,
  sets: readonly (KubeObject | undefined)[],
): Promise<void> {
  const existing = sets.filter((set) => set !== undefined);
  const active = existing.filter((set) => sizeOf(set).replicas > 0);
  const only = active.length === 1 ? active[0] : active.length === 0 ? existing[0] : undefined;
  const wanted = wantedReplicas(deployment);
  if (only && sizeOf(only).replicas !== wanted) await scaleSet(context, deployment, only, wanted);
}

function sizeOf(set: KubeObject): SetSize {
  const replicas = (set.spec.replicas as number | undefined) ?? 1;
  return { name: set.metadata.name, replicas, available: countsOf(set).available };
}

function revisionOf(set: KubeObject): number {
  return Number(set.metadata.annotations?.[REVISION] ?? 0);
}

async function createSet(
  { api, events }: ControllerContext,
  deployment: KubeObject,
  replicas: number,
  oldSets: readonly KubeObject[],
): Promise<KubeObject> {
  const template = structuredClone(deployment.spec.template) as { metadata?: KubeObject['metadata'] };
  const hash = templateHash(template);
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
  const selector = structuredClone(deployment.spec.selector) as { matchLabels?: Record<string, string> };
  const { name, namespace, annotations = {} } = deployment.metadata;
  const inherited = Object.entries(annotations).filter(([key]) => !OWN_ANNOTATIONS.has(key));
  const revision = String(Math.max(0, ...oldSets.map(revisionOf)) + 1);
  const created = await api.create('replicasets', {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${name}-${hash}`,
      ...(namespace === undefined ? {} : { namespace }),
      labels,
      annotations: { ...Object.fromEntries(inherited), [REVISION]: revision },
      ownerReferences: [controllerReference(deployment)],
    } as unknown as KubeObject['metadata'],
    spec: {
      replicas,
      minReadySeconds: deployment.spec.minReadySeconds ?? 0,
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  });
  events.normal(
    deployment,
    'ScalingReplicaSet',
    `Scaled up replica set ${name}-${hash} from 0 to ${replicas}`,
  );
  return created;
}

/** The set in use carries the highest revision (a rollback brings an old set back), and so its deployment. */
async function markNewest(
  { api }: ControllerContext,
  deployment: KubeObject,
  newSet: KubeObject,
  oldSets: readonly KubeObject[],
): Promise<void> {
  const { name, namespace } = deployment.metadata;
  const revision = String(Math.max(revisionOf(newSet), ...oldSets.map((set) => revisionOf(set) + 1)));
  const mark = (draft: KubeObject) => {
    if (draft.metadata.annotations?.[REVISION] === revision) return false;
    draft.metadata.annotations = { ...draft.metadata.annotations, [REVISION]: revision };
    return undefined;
  };
  if (mark(structuredClone(newSet)) !== false)
    await api.modify('replicasets', namespace, newSet.metadata.name, mark);
  if (mark(structuredClone(deployment)) !== false) await api.modify('deployments', namespace, name, mark);
}

async function scaleSet(
  { api, events }: ControllerContext,
  deployment: KubeObject,
  set: KubeObject,
  replicas: number,
): Promise<void> {
  const { name, namespace } = set.metadata;
  const before = sizeOf(set).replicas;
  await api.modify('replicasets', namespace, name, (draft) => {
    if (draft.spec.replicas === replicas) return false;
    draft.spec.replicas = replicas;
    return undefined;
  });
  const direction = replicas > before ? 'up' : 'down';
  const message = `Scaled ${direction} replica set ${name} from ${before} to ${replicas}`;
  events.normal(deployment, 'ScalingReplicaSet', message);
}

async function writeStatus(context: ControllerContext, { metadata }: KubeObject): Promise<void> {
  await context.api.modify(
    'deployments',
    metadata.namespace,
    metadata.name,
    (draft) => {
      const status = deploymentStatus({
        deployment: draft,
        ...setsOf(context, draft),
        now: context.now(),
      });
      if (isDeepStrictEqual(status, draft.status)) return false;
      draft.status = status;
      return undefined;
    },
    'status',
  );
}

/** Keeps `revisionHistoryLimit` empty old sets for `kubectl rollout undo`. */
async function prune(
  { api }: ControllerContext,
  deployment: KubeObject,
  newSet: KubeObject,
  oldSets: readonly KubeObject[],
): Promise<void> {
  if (countsOf(newSet).available < wantedReplicas(deployment)) return;
  const empty = oldSets.filter((set) => sizeOf(set).replicas === 0 && countsOf(set).replicas === 0);
  const keep = (deployment.spec.revisionHistoryLimit as number | undefined) ?? 10;
  for (const set of empty.slice(0, Math.max(0, empty.length - keep)))
    await api.delete('replicasets', set.metadata.namespace, set.metadata.name);
}
