/**
 * The reconciler with a clock and a cluster of the test's own: what it patches is done at once and comes back as
 * a watch event, pods appear when a test says so. Hours pass in milliseconds.
 */
import type { V1Deployment, V1Pod } from '../../../common/kube/client.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import type { ActivityMessage, ShareMessage } from '../../../common/bus/messages.ts';
import { FUNCTION_LABEL, SIDECAR_CONTAINER } from '../../../common/function/names.ts';
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';
import type { Tuning } from '../../../scaler/sizing/tuning.ts';
import type { Decision } from '../../../scaler/decide/types.ts';
import type { ScaleOutcome, ScaleRequest } from '../../../scaler/world/kube.ts';
import { createLoadAdvisor } from '../../../scaler/load/load-advisor.ts';
import { Reconciler } from '../../../scaler/loop/reconcile.ts';
import { Observer } from '../../../scaler/observe/observer.ts';
import type { Slice } from '../../../scaler/loop/slicer.ts';

export interface SimOptions {
  readonly startMs?: number;
  readonly isSynced?: boolean;
  readonly isConnected?: boolean;
  /** Default: passes at one go. */
  readonly run?: (pass: () => Slice) => void;
  readonly tuning?: Tuning;
}

interface Deployment {
  readonly uid: string;
  readonly annotations: Readonly<Record<string, string>>;
  replicas: number;
  /** As its controller writes it; undefined: nothing is said. */
  status?: V1Deployment['status'];
  /** Of the object; without it no controller is waited for. */
  generation?: number;
}

/** Lets the promises of a patch run. */
export const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

export class Sim {
  nowMs: number;
  isLeader = true;
  /** `name 0→1 wake`, in order. */
  readonly patches: string[] = [];
  /** `decision/Deployment name`, in order. */
  readonly failures: string[] = [];
  readonly faults = new Map<string, readonly string[]>();
  readonly shares: ShareMessage[] = [];
  readonly jobs = new Map<string, number>();
  readonly queries = new Map<string, number>();
  /** Of them those whose data is missing in part. */
  readonly partial = new Set<string>();
  /** Queries that only the function's own pods can answer. */
  readonly ownQueries = new Set<string>();
  /** Why a query cannot be asked as it is written. */
  readonly queryFaults = new Map<string, string>();
  /** Why a query has no answer this time. */
  readonly troubles = new Map<string, string>();
  /** How often queryFaults was asked. */
  looksAtFaults = 0;
  readonly reconciler: Reconciler;
  /** What the API server does with a patch; default: does it. */
  onScale: ((request: ScaleRequest) => Promise<ScaleOutcome>) | undefined;
  onFaults: ((name: string, faults: readonly string[]) => void) | undefined;
  /** Instead of {@link jobs}. */
  jobsOf: ((key: string) => number) | undefined;
  readonly #deployments = new Map<string, Deployment>();
  readonly #pods = new Map<string, V1Pod>();
  #version = 0;

  constructor(options: SimOptions = {}) {
    const { startMs = Date.UTC(2026, 0, 5, 12), isSynced = true, isConnected = true, run, tuning } = options;
    this.nowMs = startMs;
    const advisor = createLoadAdvisor({
      ...(tuning ? { tuning } : {}),
      jobsOf: (key) => {
        const total = this.jobs.get(key) ?? 0;
        return { ready: total, total, perSecond: undefined };
      },
      queries: {
        asksOwnPods: ({ query }) => this.ownQueries.has(query),
        resultOf: (_fn, { query }) => {
          const value = this.queries.get(query);
          const reason = this.troubles.get(query);
          if (reason !== undefined) return { kind: 'fault', reason };
          if (value === undefined) return { kind: 'no-data' };
          return { kind: 'value', value, isWhole: !this.partial.has(query) };
        },
        faultOf: (_fn, { query }) => {
          this.looksAtFaults += 1;
          return this.queryFaults.get(query);
        },
      },
    });
    this.reconciler = new Reconciler({
      ...(run ? { run } : {}),
      observer: new Observer(() => this.nowMs),
      now: () => this.nowMs,
      log: silentLog,
      onFailed: (path, { metadata }) => void this.failures.push(`${path} ${metadata?.name}`),
      jobsOf: (key) => this.jobsOf?.(key) ?? this.jobs.get(key) ?? 0,
      advisor,
      effects: {
        isLeader: () => this.isLeader,
        scale: (request) => (this.onScale ?? ((r) => this.#scale(r)))(request),
        publishShares: (_id, message) => void this.shares.push(message),
        rollBack: () => Promise.resolve(),
        onDecision: () => {},
        onScaled: (workload, decision) => this.#note(workload.id, workload.replicas, decision),
        onFaults: (workload, faults) => {
          const messages = faults.map(({ message }) => message);
          this.faults.set(workload.id.name, messages);
          this.onFaults?.(workload.id.name, messages);
        },
      },
    });
    this.reconciler.onNats(isConnected);
    this.reconciler.onSynced(isSynced);
  }

  /** A Deployment in `default`; annotated as a function unless `annotations` is undefined. */
  deploy(name: string, replicas = 0, annotations: Readonly<Record<string, string>> | undefined = {}): void {
    const uid = this.#deployments.get(name)?.uid ?? `uid-${name}`;
    this.#deployments.set(name, { uid, annotations, replicas });
    this.#tell(name);
  }

  /** What its controller says. */
  tellStatus(name: string, status: V1Deployment['status'], generation?: number): void {
    Object.assign(this.#deployment(name), { status, generation });
    this.#tell(name);
  }

  fn(name: string, replicas = 0, annotations: Readonly<Record<string, string>> = {}): void {
    this.deploy(name, replicas, { 'SlimFaas/Function': 'true', ...annotations });
  }

  /** Somebody else's `kubectl scale`. */
  scaleByHand(name: string, replicas: number): void {
    this.#deployment(name).replicas = replicas;
    this.#tell(name);
  }

  replicas(name: string): number {
    return this.#deployment(name).replicas;
  }

  pod(
    fn: string,
    name: string,
    { isReady = true, hasSidecar = true, isEnding = false, crashes = 0 } = {},
  ): void {
    const pod: V1Pod = {
      metadata: {
        name,
        namespace: 'default',
        labels: { [FUNCTION_LABEL]: fn, 'pod-template-hash': 'h' },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${fn}-h`, uid: 'r', controller: true },
        ],
        ...(isEnding ? { deletionTimestamp: new Date(this.nowMs) } : {}),
      },
      spec: { containers: [{ name: 'app' }, ...(hasSidecar ? [{ name: SIDECAR_CONTAINER }] : [])] },
      status: {
        phase: 'Running',
        ...(crashes > 0 ? { containerStatuses: [crashed(crashes)] } : {}),
        podIP: '10.0.0.1',
        conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
      },
    };
    this.#pods.set(name, pod);
    this.reconciler.onPod(pod);
  }

  podsOf(fn: string): string[] {
    const isOf = (pod: V1Pod) => pod.metadata?.labels?.[FUNCTION_LABEL] === fn;
    return [...this.#pods].filter(([, pod]) => isOf(pod)).map(([name]) => name);
  }

  podGone(name: string): void {
    const pod = this.#pods.get(name);
    this.#pods.delete(name);
    if (pod) this.reconciler.onPodGone(pod);
  }

  async wake(name: string, waiting = 1): Promise<boolean> {
    const isKnown = this.reconciler.onWake(idOf(name), { from: 'proxy', waiting });
    await settle();
    return isKnown;
  }

  report(name: string, pod: string, changes: Partial<ActivityMessage> = {}): void {
    const idle = {
      running: 0,
      runningNow: 0,
      waiting: 0,
      started: 0,
      finished: 0,
      failed: 0,
      windowMs: 1_000,
    };
    this.reconciler.onActivity(idOf(name), { source: 'sidecar', pod, ...idle, ...changes });
  }

  /** The proxy that woke it has nobody waiting any more. */
  proxyIsIdle(name: string): void {
    const nothing = {
      running: 0,
      runningNow: 0,
      waiting: 0,
      started: 0,
      finished: 0,
      failed: 0,
      windowMs: 1_000,
    };
    this.reconciler.onActivity(idOf(name), { source: 'proxy', pod: 'proxy', ...nothing });
  }

  /** Seconds pass, a tick in each; `each` runs before the tick. */
  async pass(seconds: number, each?: () => void | Promise<void>): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1_000;
      await each?.();
      this.reconciler.tick();
      await settle();
    }
  }

  remove(name: string): void {
    this.#deployments.delete(name);
    this.reconciler.onWorkloadGone('Deployment', functionKey(idOf(name)));
  }

  /** The latest decision, as `kind` or the reason of a hold. */
  decision(name: string): string {
    const decision = this.reconciler.decisions.last(functionKey(idOf(name)));
    if (!decision) return 'none';
    return decision.kind === 'hold' ? decision.because : decision.kind;
  }

  #deployment(name: string): Deployment {
    const found = this.#deployments.get(name);
    if (!found) throw new Error(`the test has no deployment ${name}`);
    return found;
  }

  #tell(name: string): void {
    const { uid, annotations, replicas, status, generation } = this.#deployment(name);
    const object: V1Deployment = {
      metadata: {
        name,
        namespace: 'default',
        uid,
        resourceVersion: String(++this.#version),
        ...(generation !== undefined && { generation }),
      },
      ...(status && { status: { ...status } }),
      spec: { replicas, selector: {}, template: { metadata: { annotations: { ...annotations } } } },
    };
    this.reconciler.onWorkload('Deployment', object);
  }

  async #scale({ workload, to }: ScaleRequest): Promise<ScaleOutcome> {
    this.#deployment(workload.id.name).replicas = to;
    const resourceVersion = String(++this.#version);
    // The watch follows the answer.
    setImmediate(() => this.#tell(workload.id.name));
    return { kind: 'done', replicas: to, resourceVersion };
  }

  #note({ name }: FunctionId, from: number, decision: Decision): void {
    this.patches.push(`${name} ${from}→${decision.wanted} ${decision.kind}`);
  }
}

function idOf(name: string): FunctionId {
  return { namespace: 'default', name };
}

function crashed(
  restartCount: number,
): NonNullable<NonNullable<V1Pod['status']>['containerStatuses']>[number] {
  const lastState = { terminated: { exitCode: 1, reason: 'Error' } };
  const state = { waiting: { reason: 'CrashLoopBackOff' } };
  return { name: 'app', image: 'a:1', imageID: '', ready: false, restartCount, state, lastState };
}
