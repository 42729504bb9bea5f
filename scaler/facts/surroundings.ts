/**
 * What the scaler sees at this moment, in one place: the world, what it remembers of each function, and whether
 * NATS and the watches are there. `epoch` counts what may change the decision of any function whatsoever.
 */
import { LastUse } from './activity.ts';
import { DependencyIndex } from '../world/dependency-index.ts';
import type { DependencyGraph } from '../decide/dependencies.ts';
import type { Surroundings } from './facts.ts';
import { FunctionState } from './state.ts';
import type { Workload } from '../world/kube-objects.ts';
import { Nudges } from '../act/nudges.ts';
import { World } from '../world/world.ts';

export class Seen implements Surroundings {
  readonly world = new World();
  readonly states = new Map<string, FunctionState>();
  readonly lastUse = new LastUse();
  readonly dependencies = new DependencyIndex(this.world);
  readonly jobsOf: (key: string) => number;
  readonly nudges = new Nudges();
  #natsSinceMs: number | undefined;
  #isSynced = false;
  #epoch = 0;

  constructor(jobsOf: (key: string) => number) {
    this.jobsOf = jobsOf;
  }

  get natsSinceMs(): number | undefined {
    return this.#natsSinceMs;
  }

  set natsSinceMs(atMs: number | undefined) {
    this.#natsSinceMs = atMs;
    this.#epoch += 1;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  set isSynced(isSynced: boolean) {
    this.#isSynced = isSynced;
    this.#epoch += 1;
  }

  get graph(): DependencyGraph {
    return this.dependencies.graph;
  }

  /** Only ever rises. */
  get epoch(): number {
    return this.#epoch + this.world.specVersion + this.world.autoscalerVersion;
  }

  earlyReports(): number {
    let sum = 0;
    for (const { activity } of this.states.values()) sum += activity.earlyReports;
    return sum;
  }

  // Properties, not methods: they are taken out and called by themselves.
  readonly stateOf = (key: string): FunctionState | undefined => this.states.get(key);
  readonly lastUseIn = (namespace: string): ReturnType<LastUse['in']> => this.lastUse.in(namespace);

  /** Made when it is first needed. */
  state(key: string, nowMs: number): FunctionState {
    const known = this.states.get(key);
    if (known) return known;
    const state = new FunctionState(nowMs);
    this.states.set(key, state);
    // Pods may be listed before the workload that they belong to.
    const workload = this.world.workload(key);
    if (workload) for (const pod of this.world.podsOf(workload).values()) state.seePod(pod, nowMs);
    return state;
  }

  /** A pod could not be created; or one was, and what kept it from being so is gone for others too. */
  noteCreation(workload: Workload, state: FunctionState, nowMs: number): void {
    const trouble = this.world.creationTroubleOf(workload);
    const former = state.creationTrouble;
    if (trouble) state.creationTrouble = trouble;
    else if (former && workload.createdReplicas > 0) {
      state.creationTrouble = undefined;
      this.nudges.onCreated(workload, former, nowMs);
    }
  }

  isLinked(key: string): boolean {
    return this.graph.dependenciesOf(key).length + this.graph.dependentsOf(key).length > 0;
  }
}
