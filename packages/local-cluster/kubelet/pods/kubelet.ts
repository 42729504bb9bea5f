/**
 * The kubelet of all nodes: a worker for each pod that is bound to one of them, from the first watch event to the
 * last process. `docs/internals/local-cluster.md` says what it does as a real one does and what not.
 *
 * Room `packages/local-cluster/kubelet`: Pods as processes.
 * Comes in: pods that are bound.
 * Goes out: statuses and logs.
 */
import { describeError } from '../../../../common/runtime/errors.ts';
import type { Running } from '../../../../common/runtime/lifecycle.ts';
import type { LogReader } from '../../api/verbs/runtime-hooks.ts';
import type { KubeObject, WatchEventType } from '../../api/objects/types.ts';
import { SimulatedFailures, type KubeletFailures } from '../container/failures.ts';
import { PodWorker } from './pod-worker.ts';
import { startWatchdog } from './watchdog.ts';
import type { KubeletOptions } from './kubelet-options.ts';

export interface Kubelet extends Running {
  readonly failures: KubeletFailures;
  /** SIGKILL to a container's processes (of all containers without a name); the kubelet then does as always. */
  kill(namespace: string, pod: string, container?: string): void;
  readonly readLogs: LogReader;
}

/** How long the pods have when the cluster stops: nobody's requests are in flight then. */
const STOP_GRACE_MS = 2_000;

export function startKubelet(options: KubeletOptions): Kubelet {
  const workers = new Map<string, PodWorker>();
  const failures = new SimulatedFailures();
  const watchdog = startWatchdog(options.dir);
  let isStopping = false;

  const start = (pod: KubeObject) => {
    const onGone = () => void workers.delete(pod.metadata.uid);
    workers.set(pod.metadata.uid, new PodWorker(pod, { kubelet: options, failures, watchdog, onGone }));
  };
  const end = (worker: PodWorker, graceMs: number) => {
    worker.end(graceMs).catch((error: unknown) => {
      options.log.error({ error: describeError(error) }, 'a pod could not be ended');
    });
  };
  const unwatch = options.api.watch('pods', (type: WatchEventType, pod) => {
    const worker = workers.get(pod.metadata.uid);
    if (type === 'DELETED') return worker && end(worker, 0);
    if (!options.nodeNames.includes(pod.spec?.nodeName as string)) return;
    if (pod.metadata.deletionTimestamp !== undefined) endPod(options, worker, pod, end);
    else if (!worker && !isStopping && !isFinished(pod)) start(pod);
  });
  // What a Secret or ConfigMap says is written out again at once; a real kubelet takes up to a minute.
  const unwatchSources = (['secret', 'configMap'] as const).map((kind) =>
    options.api.watch(kind === 'secret' ? 'secrets' : 'configmaps', (type, source) => {
      if (type === 'DELETED') return;
      for (const worker of workers.values()) worker.sourceChanged(kind, source);
    }),
  );
  const find = (namespace: string, name: string) => {
    const uid = options.api.get('pods', namespace, name)?.metadata.uid;
    return uid === undefined ? undefined : workers.get(uid);
  };
  return {
    failures,
    kill(namespace, name, container) {
      const worker = find(namespace, name);
      for (const one of worker?.containers ?? []) if (!container || one.name === container) one.kill();
    },
    readLogs(namespace, name, container, options) {
      const found = find(namespace, name)?.containers.find((one) => one.name === container);
      return found?.log?.read(options);
    },
    async stop() {
      isStopping = true;
      unwatch();
      for (const release of unwatchSources) release();
      await Promise.allSettled([...workers.values()].map((worker) => worker.end(STOP_GRACE_MS)));
      await watchdog.stop();
    },
  };
}

function isFinished(pod: KubeObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function endPod(
  { api }: KubeletOptions,
  worker: PodWorker | undefined,
  pod: KubeObject,
  end: (worker: PodWorker, graceMs: number) => void,
): void {
  if (worker) return end(worker, (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1_000);
  // It never ran here: nothing to end but the object.
  const { namespace, name, uid } = pod.metadata;
  void api.delete('pods', namespace, name, { gracePeriodSeconds: 0, uid }).catch(() => undefined);
}
