/**
 * The proxy's one adapter to Kubernetes: Deployments, StatefulSets and pods of its namespaces, watched and
 * handed on. When the API is away, what was known last stays: nothing here forgets by itself.
 */
import type { AnnotationDefaults } from '../../common/function/annotations/index.ts';
import type { V1Deployment, V1Pod, V1StatefulSet, KubeClients } from '../../common/kube/client.ts';
import { watchCreationFailures, type CreationFailure } from '../../common/kube/creation-failures.ts';
import { listedIn } from '../../common/kube/listed.ts';
import { FailedCreations } from '../../common/kube/model/failed-creations.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import { ownerKeyOf, readWorkload, type WorkloadModel } from '../../common/kube/model/workload.ts';
import { watchResource, type OnFailedObject, type Watched } from '../../common/kube/watched.ts';
import type { Log } from '../../common/runtime/log.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { WorkloadKind } from '../../common/function/spec.ts';
import { viewWorkload, type FunctionView } from './function-view.ts';
import { viewPod, type PodView } from '../pods/pod-view.ts';

export interface WatchTargets {
  setFunction(view: FunctionView): void;
  removeFunction(kind: FunctionView['kind'], id: FunctionId): void;
  setPod(view: PodView): void;
  deletePod(namespace: string, name: string): void;
}

export interface KubeWatch {
  /** What is not up: `deployments`, `pods in shop` … */
  readonly missing: readonly string[];
  /** True once everything was listed once. */
  readonly wasSynced: boolean;
  stop(): Promise<void>;
}

interface WatchedList {
  readonly name: string;
  readonly watched: Watched;
  wasSynced: boolean;
}

export interface KubeWatchOptions {
  readonly kube: KubeClients;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly targets: WatchTargets;
  /** For the annotations of pods. Those of workloads are read without. */
  readonly defaults: AnnotationDefaults;
  readonly log: Log;
  readonly onFailed: OnFailedObject;
}

export function watchKube(options: KubeWatchOptions): KubeWatch {
  const scopes = options.namespaces.length === 0 ? [undefined] : options.namespaces;
  const known = new KnownWorkloads();
  const lists = scopes.flatMap((namespace) => [
    watchWorkloads('Deployment', namespace, options, known),
    watchWorkloads('StatefulSet', namespace, options, known),
    watchPods(namespace, options),
  ]);
  const failures = scopes.map((namespace) => watchFailures(namespace, options, known));
  return {
    get missing() {
      return lists.filter(({ watched }) => !watched.isSynced).map(({ name }) => name);
    },
    get wasSynced() {
      return lists.every((list) => list.wasSynced);
    },
    async stop() {
      await Promise.all([...lists.map(({ watched }) => watched), ...failures].map((each) => each.stop()));
    },
  };
}

function watchWorkloads(
  kind: WorkloadKind,
  namespace: string | undefined,
  { kube, targets, log, onFailed }: KubeWatchOptions,
  known: KnownWorkloads,
): WatchedList {
  const drop = (object: V1Deployment | V1StatefulSet): void => {
    const id = idOf(object);
    known.remove(kind, id);
    targets.removeFunction(kind, id);
  };
  const handlers = {
    onSet(object: V1Deployment | V1StatefulSet) {
      const view = known.set(kind, object);
      if (view) targets.setFunction(view);
      else drop(object);
    },
    onDelete: drop,
  };
  const { deployments, statefulSets } = listedIn(kube, namespace);
  const { list, path } = kind === 'Deployment' ? deployments : statefulSets;
  return watchedList(`${kind.toLowerCase()}s`, namespace, (onSynced) =>
    watchResource<V1Deployment | V1StatefulSet>(
      kube.config,
      list,
      { ...handlers, onSynced },
      { path, log, onFailed },
    ),
  );
}

function watchFailures(
  namespace: string | undefined,
  { kube, targets, log, onFailed }: KubeWatchOptions,
  known: KnownWorkloads,
): Watched {
  return watchCreationFailures({
    config: kube.config,
    events: listedIn(kube, namespace).events,
    onFailure(failure) {
      const view = known.fail(failure);
      if (view) targets.setFunction(view);
    },
    log,
    onFailed,
  });
}

/** The workloads that are functions, as last read. */
class KnownWorkloads {
  /** By owner key. */
  readonly #known = new Map<string, WorkloadModel>();
  readonly #failures = new FailedCreations();

  /** @returns undefined for a workload that is no function, or is none any more */
  set(kind: WorkloadKind, object: V1Deployment | V1StatefulSet): FunctionView | undefined {
    const ownerKey = ownerKeyOf(kind, functionKey(idOf(object)));
    const workload = readWorkload(kind, object, this.#known.get(ownerKey));
    if (!workload.fn) return undefined;
    this.#known.set(ownerKey, workload);
    this.#failures.look(workload);
    return viewWorkload(workload, this.#failures.troubleOf(workload));
  }

  /** @returns the function as it looks now; undefined where nothing has changed */
  fail(failure: CreationFailure): FunctionView | undefined {
    const known = this.#known.get(ownerKeyOf('StatefulSet', functionKey(failure)));
    if (!known || !this.#failures.note(failure, known)) return undefined;
    return viewWorkload(known, this.#failures.troubleOf(known));
  }

  remove(kind: WorkloadKind, id: FunctionId): void {
    const ownerKey = ownerKeyOf(kind, functionKey(id));
    this.#failures.forget(ownerKey);
    this.#known.delete(ownerKey);
  }
}

function watchPods(namespace: string | undefined, options: KubeWatchOptions): WatchedList {
  const { kube, targets, defaults, log, onFailed } = options;
  // All of them, not only functions': a caller is inside the cluster if its address is a pod's.
  const { list, path } = listedIn(kube, namespace).pods;
  const handlers = {
    onSet(pod: V1Pod) {
      const view = viewPod(pod, defaults);
      if (view) targets.setPod(view);
    },
    onDelete(pod: V1Pod) {
      const { namespace: its, name } = idOf(pod);
      targets.deletePod(its, name);
    },
  };
  return watchedList('pods', namespace, (onSynced) =>
    watchResource<V1Pod>(kube.config, list, { ...handlers, onSynced }, { path, log, onFailed }),
  );
}

function watchedList(
  resource: string,
  namespace: string | undefined,
  start: (onSynced: (isSynced: boolean) => void) => Watched,
): WatchedList {
  const name = namespace === undefined ? resource : `${resource} in ${namespace}`;
  const made = { name, wasSynced: false };
  const watched = start((isSynced) => {
    made.wasSynced ||= isSynced;
  });
  return Object.assign(made, { watched });
}
