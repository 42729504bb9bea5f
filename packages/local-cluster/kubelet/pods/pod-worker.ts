/**
 * One pod's life. The address comes first and is posted before any container runs. Then come init containers and
 * native sidecars in their order, then the others in theirs, each when the start of the one before is over. At the
 * end the others go first and the native sidecars after them, last one first. Every change is posted at once, several
 * of the same turn together.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../../../../common/runtime/errors.ts';
import type { KubeObject } from '../../api/objects/types.ts';
import { timeText } from '../../controllers/workloads/objects.ts';
import { Container } from '../container/container.ts';
import { Deadline } from '../container/deadline.ts';
import type { SimulatedFailures } from '../container/failures.ts';
import type { KubeletOptions } from './kubelet-options.ts';
import { containersOf, specOf } from './pod-spec.ts';
import { createPodRuntime } from './pod-runtime.ts';
import type { PodRuntime } from './runtime.ts';
import { podStatus } from './status.ts';
import { usesSource } from '../container/volumes.ts';
import type { Watchdog } from './watchdog.ts';

export interface PodWorkerOptions {
  readonly kubelet: KubeletOptions;
  readonly failures: SimulatedFailures;
  readonly watchdog: Watchdog;
  /** The worker has ended: nothing of the pod is left on this machine. */
  readonly onGone: () => void;
}

export class PodWorker {
  readonly #options: PodWorkerOptions;
  readonly #pod: KubeObject;
  readonly #podIp: string;
  readonly #podDir: string;
  readonly #runtime: PodRuntime;
  readonly #startTime = timeText(Date.now());
  readonly containers: readonly Container[];
  #isOver = false;
  #isGone = false;
  #ending: { readonly deadline: Deadline; readonly done: Promise<void> } | undefined;
  #posting: Promise<void> | undefined;
  #isPostDue = false;

  constructor(pod: KubeObject, options: PodWorkerOptions) {
    this.#pod = pod;
    this.#options = options;
    const { kubelet, failures, watchdog } = options;
    this.#podIp = kubelet.allocateIp();
    this.#podDir = join(kubelet.dir, 'pods', pod.metadata.uid);
    this.#runtime = createPodRuntime({
      pod,
      podIp: this.#podIp,
      podDir: this.#podDir,
      kubelet,
      failures,
      watchdog,
      changed: () => this.#post(),
    });
    const plans = containersOf(pod);
    const waiting = plans.some((plan) => plan.kind !== 'main') ? 'PodInitializing' : 'ContainerCreating';
    this.containers = plans.map((plan) => new Container(plan, this.#runtime, waiting));
    this.#post();
    void this.#run().catch((error: unknown) => {
      kubelet.log.error({ pod: pod.metadata.name, error: describeError(error) }, 'pod worker failed');
    });
  }

  get uid(): string {
    return this.#pod.metadata.uid;
  }

  /** Ends the pod within the time; a shorter time on a second call counts. */
  end(graceMs: number): Promise<void> {
    if (this.#ending) {
      this.#ending.deadline.shorten(graceMs);
      return this.#ending.done;
    }
    const deadline = new Deadline(graceMs);
    this.#ending = { deadline, done: this.#end(deadline) };
    return this.#ending.done;
  }

  /** Volumes that show this Secret or ConfigMap are written again. */
  sourceChanged(kind: 'secret' | 'configMap', source: KubeObject): void {
    const { namespace, name } = this.#pod.metadata;
    if (source.metadata.namespace !== namespace || !usesSource(this.#pod, kind, source.metadata.name)) return;
    try {
      this.#runtime.writeVolumes();
    } catch (error) {
      // Another source is missing: its containers wait for it and then write all.
      this.#options.kubelet.log.debug({ pod: name, error: describeError(error) }, 'volumes not written');
    }
  }

  async #run(): Promise<void> {
    for (const container of this.containers) {
      if (this.#ending) return;
      if (container.kind === 'sidecar') {
        void container.run();
        await container.started();
      } else if (container.kind === 'init') {
        await container.run();
        if (this.#ending) return;
        if (container.exitCode !== 0) return this.#finishSidecars();
      }
    }
    if (this.#ending) return;
    const runs: Promise<void>[] = [];
    for (const container of this.#mains) {
      runs.push(container.run());
      await container.tried();
    }
    await Promise.all(runs);
    if (!this.#ending) await this.#finishSidecars();
  }

  get #mains(): Container[] {
    return this.containers.filter((container) => container.kind === 'main');
  }

  /** What had to run has ended by itself (restartPolicy Never or OnFailure), or an init container has failed for good. */
  async #finishSidecars(): Promise<void> {
    const deadline = new Deadline((specOf(this.#pod).terminationGracePeriodSeconds ?? 30) * 1_000);
    await this.#stopSidecars(deadline, Promise.resolve());
    deadline.cancel();
    this.#over();
  }

  async #stopSidecars(deadline: Deadline, mainsEnded: Promise<unknown>): Promise<void> {
    const sidecars = this.containers.filter((container) => container.kind !== 'main').toReversed();
    let turn = mainsEnded;
    for (const sidecar of sidecars) turn = sidecar.stop(deadline, turn);
    await turn;
  }

  async #end(deadline: Deadline): Promise<void> {
    for (const container of this.containers) container.noMoreRestarts();
    const mains = Promise.all(this.#mains.map((container) => container.stop(deadline)));
    await Promise.all([mains, this.#stopSidecars(deadline, mains)]);
    deadline.cancel();
    this.#over();
    await this.#posting;
    await this.#leave();
  }

  async #leave(): Promise<void> {
    this.#isGone = true;
    const { kubelet, onGone } = this.#options;
    const { namespace, name, uid } = this.#pod.metadata;
    rmSync(this.#podDir, { recursive: true, force: true });
    kubelet.releaseIp(this.#podIp);
    onGone();
    // Gone already after a forced deletion.
    await kubelet.api.delete('pods', namespace, name, { gracePeriodSeconds: 0, uid }).catch(() => undefined);
  }

  #over(): void {
    this.#isOver = true;
    this.#post();
  }

  #post(): void {
    this.#isPostDue = true;
    this.#posting ??= this.#postAll();
  }

  async #postAll(): Promise<void> {
    await Promise.resolve(); // what changes in one turn is one post
    while (this.#isPostDue && !this.#isGone) {
      this.#isPostDue = false;
      try {
        await this.#postOnce();
      } catch (error) {
        const { log } = this.#options.kubelet;
        log.debug({ pod: this.#pod.metadata.name, error: describeError(error) }, 'status not posted');
      }
    }
    this.#posting = undefined;
  }

  async #postOnce(): Promise<void> {
    const { kubelet } = this.#options;
    const { namespace, name, uid } = this.#pod.metadata;
    const change = (draft: KubeObject): void | false => {
      if (draft.metadata.uid !== uid) return false;
      draft['status'] = podStatus({
        pod: draft,
        podIp: this.#podIp,
        hostIp: kubelet.hostIp,
        startTime: this.#startTime,
        containers: this.containers.map((container) => container.record),
        isOver: this.#isOver,
        now: Date.now(),
      });
    };
    await kubelet.api.modify('pods', namespace, name, change, 'status');
  }
}
