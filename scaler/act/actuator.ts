/**
 * Carries decisions out: one patch a function at a time, by the leader, and for a wake that nobody acts upon by
 * any replica. A patch that fails is not repeated here: the next tick, or the next wake, decides again.
 *
 * Room `scaler/act`: Carries decisions out.
 * Comes in: decisions.
 * Goes out: patches, Events, nudges.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Decision } from '../decide/types.ts';
import type { ScaleOutcome } from '../world/kube.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { ReconcileEffects } from './effects.ts';
import type { FunctionState } from '../facts/state.ts';

/**
 * A follower helps when a wake was not acted upon for that long: ten times what a healthy leader needs. Only where
 * somebody waits: it does not know what a human has set, and must not undo it for a schedule's sake.
 */
const ASSIST_AFTER_MS = 1_000;

export interface ActuatorOptions {
  readonly effects: Pick<ReconcileEffects, 'scale' | 'isLeader' | 'onScaled'>;
  readonly now: () => number;
  readonly log: Log;
  /** Before anybody else is told, so that the next decision knows it. */
  readonly onScaled: (
    workload: Workload,
    made: Extract<ScaleOutcome, { kind: 'done' }>,
    isWake: boolean,
  ) => void;
  readonly onWoken: (key: string) => void;
  readonly onNudge: (workload: Workload, state: FunctionState, trouble: Trouble) => void;
}

export class Actuator {
  readonly #options: ActuatorOptions;

  constructor(options: ActuatorOptions) {
    this.#options = options;
  }

  act(workload: Workload, state: FunctionState, decision: Decision, nowMs: number): void {
    if (state.patching) return;
    const { isLeader } = this.#options.effects;
    if (isLeader()) {
      if (decision.kind === 'nudge') this.#options.onNudge(workload, state, decision.trouble);
      return void this.#patch(workload, state, decision, isLeader);
    }
    if (decision.kind !== 'wake' || !decision.isUrgent) return;
    state.wakeDueSinceMs ??= nowMs;
    if (nowMs - state.wakeDueSinceMs < ASSIST_AFTER_MS) return;
    this.#options.log.warn(
      { function: workload.key },
      'no leader acts on this wake; a follower wakes the function',
    );
    void this.#patch(workload, state, decision, () => true);
  }

  async #patch(
    workload: Workload,
    state: FunctionState,
    decision: Decision,
    mayGoOn: () => boolean,
  ): Promise<void> {
    const { effects, now, log, onScaled, onWoken } = this.#options;
    const wakeAtMs = decision.kind === 'wake' ? state.activity.wakeAtMs : undefined;
    const to = decision.wanted;
    state.patching = { to };
    try {
      const outcome = await effects.scale({ workload, to, mayGoOn });
      state.patching = undefined;
      if (outcome.kind === 'overtaken') return;
      state.setByOthers = undefined;
      state.wakeDueSinceMs = undefined;
      if (workload.replicas === 0) state.coldStartSinceMs = now();
      onScaled(workload, outcome, decision.kind === 'wake');
      effects.onScaled(workload, decision, wakeAtMs === undefined ? undefined : now() - wakeAtMs);
      if (decision.kind === 'wake') onWoken(workload.key);
    } catch (error) {
      state.patching = undefined;
      log.warn({ function: workload.key, to, error: describeError(error) }, 'scaling failed; trying again');
    }
  }
}
