/**
 * What a decision is made from and what it is. Facts are gathered by `facts.ts` and are complete: a rule asks
 * nobody and reads no clock, so that each is a table of facts and expected decisions.
 */
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';

/** Who wants the function up. `isCall`: somebody asks now; false: something merely expects it to be there. */
export type Demand =
  | { readonly by: 'callers'; readonly isCall: true; readonly waiting: number }
  | { readonly by: 'jobs'; readonly isCall: true; readonly jobs: number }
  | { readonly by: 'wake'; readonly isCall: true }
  | { readonly by: 'schedule'; readonly isCall: true }
  /** A query says that there is work. Who sets 0 by hand stops that for a while, so it is no call. */
  | { readonly by: 'trigger'; readonly isCall: false; readonly what: string }
  | { readonly by: 'any-function'; readonly isCall: true; readonly name: string }
  /** `isUrgent`: as it is for the dependent. */
  | { readonly by: 'dependent'; readonly isCall: boolean; readonly isUrgent: boolean; readonly name: string };

/** Somebody waits, or has just asked; a clock or another's use is no hurry. */
export function isUrgent(demand: Demand): boolean {
  if (demand.by === 'dependent') return demand.isUrgent;
  return demand.by === 'callers' || demand.by === 'jobs' || demand.by === 'wake';
}

export interface Facts {
  readonly spec: FunctionSpec;
  readonly nowMs: number;
  /** spec.replicas of the workload. */
  readonly replicas: number;
  readonly readyPods: number;
  /** Woken by us, and no pod has been ready since. */
  readonly isColdStart: boolean;
  /** Pods that exist, ready or not, as the workload's controller counts them. */
  readonly createdPods: number;
  /** The workload's controller has seen its latest change, and no rollout is paused. */
  readonly isObserved: boolean;
  /** Why no pod can be created, when it is time to ask for another try; see nudges.ts. */
  readonly dueNudge: Trouble | undefined;
  /** When that was last asked for. */
  readonly nudgedAtMs: number | undefined;
  /** Why pods do not come up, or what they are at; empty when all is well. */
  readonly troubles: readonly Trouble[];
  /** minReplicas of a HorizontalPodAutoscaler on the workload. */
  readonly autoscalerMin: number | undefined;
  readonly demand: Demand | undefined;
  readonly running: number;
  /** Calls waiting in proxies and sidecars. */
  readonly waiting: number;
  /** Jobs queued or due. */
  readonly jobs: number;
  /** Connections that came past proxy and sidecar and are in use: use, but no load. */
  readonly direct: number;
  /** The latest of everything that counts as use, and of every moment from which the clock starts again. */
  readonly idleSinceMs: number;
  /** From the annotation or from the schedule in force. */
  readonly idleTimeoutSeconds: number;
  /** Functions that depend on this one and are up. */
  readonly awakeDependents: readonly string[];
  /** Dependencies, direct and indirect, that are not ready. */
  readonly unreadyDependencies: readonly string[];
  /** Why what we know may be incomplete; undefined: we see everything. */
  readonly blind: string | undefined;
  /** What somebody else set, while it stands. */
  readonly setByOthers: number | undefined;
  /** What the triggers ask for; undefined for a function without any. */
  readonly load: LoadAdvice | undefined;
  readonly triggers: TriggerUse;
}

/** The outcome of triggers and behaviour policies: how many replicas, and why in words with numbers. */
export interface LoadAdvice {
  readonly wanted: number;
  readonly reason: string;
}

/** What queries say about use; see trigger-answers.ts. */
export interface TriggerUse {
  /** In words: one that is above its ActivationThreshold, so that there is work. */
  readonly active?: string;
  /** How many replicas such triggers want at a wake, as far as policies let them. */
  readonly wanted?: number;
  /** One that has not answered yet. */
  readonly awaited?: string;
}

export type HoldReason =
  | 'asleep'
  | 'active'
  | 'idle-clock'
  | 'at-minimum'
  | 'steady'
  | 'paused'
  | 'autoscaler'
  | 'set-by-others'
  | 'dependents'
  | 'nudged'
  | 'missing-data';

/** `wanted` equals `replicas` for every kind that changes nothing. */
export type Decision = { readonly wanted: number; readonly reason: string } & (
  | { readonly kind: 'wake'; readonly isUrgent: boolean }
  | { readonly kind: 'raise' | 'scale-up' | 'scale-down' | 'sleep' | 'cap' }
  | { readonly kind: 'await-dependencies'; readonly waitingFor: readonly string[] }
  | { readonly kind: 'blocked' | 'nudge'; readonly trouble: Trouble }
  | { readonly kind: 'hold'; readonly because: HoldReason }
);

/** A rule decides, or leaves it to the next one. */
export type DecisionRule = (facts: Facts) => Decision | undefined;

export function hold(facts: Facts, because: HoldReason, reason: string): Decision {
  return { kind: 'hold', because, wanted: facts.replicas, reason };
}
