/**
 * Carries decisions out: one patch a function at a time, by the leader, and for a wake that nobody acts upon by
 * any replica. A patch that fails is not repeated here: the next tick, or the next wake, decides again.
 *
 * Room `scaler/act`: Carries decisions out.
 * Comes in: decisions.
 * Goes out: patches, Events, nudges.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Decision } from '../decide/types.ts';
import type { ScaleOutcome } from '../world/kube.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { ReconcileEffects } from './effects.ts';
import type { Nudges } from './nudges.ts';

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
  readonly nudges: Pick<Nudges, 'noteNudge'>;
}

/** What is known of the moment for which it was decided. */
export interface Moment {
  readonly nowMs: number;
  /** When somebody last asked for the function to be up. */
  readonly wakeAtMs: number | undefined;
}

/** Owns which patches are under way, and which wakes wait for somebody to act. */
export class Actuator {
  readonly #options: ActuatorOptions;
  /** One per function at most. */
  readonly #patching = new Map<string, { readonly to: number }>();
  /** Since when this process, not being the leader, has seen a wake that nobody acted upon. */
  readonly #dueSinceMs = new Map<string, number>();

  constructor(options: ActuatorOptions) {
    this.#options = options;
  }

  act(workload: Workload, decision: Decision, moment: Moment): void {
    const { key } = workload;
    if (decision.wanted === workload.replicas) {
      if (this.#dueSinceMs.size > 0) this.#dueSinceMs.delete(key);
      return;
    }
    if (this.#patching.has(key)) return;
    const { effects, nudges, log } = this.#options;
    const { isLeader } = effects;
    const { nowMs } = moment;
    if (isLeader()) {
      if (decision.kind === 'nudge') nudges.noteNudge(workload, decision.trouble, nowMs);
      return void this.#patch(workload, decision, moment, isLeader);
    }
    if (decision.kind !== 'wake' || !decision.isUrgent) return;
    const sinceMs = this.#dueSinceMs.get(key) ?? nowMs;
    this.#dueSinceMs.set(key, sinceMs);
    if (nowMs - sinceMs < ASSIST_AFTER_MS) return;
    log.warn({ function: key }, 'no leader acts on this wake; a follower wakes the function');
    void this.#patch(workload, decision, moment, () => true);
  }

  /** Whether a patch under way asks for this count: then the count is ours. */
  isAskingFor(key: string, replicas: number): boolean {
    return this.#patching.get(key)?.to === replicas;
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#patching.delete(key);
    this.#dueSinceMs.delete(key);
  }

  async #patch(
    workload: Workload,
    decision: Decision,
    { wakeAtMs }: Moment,
    mayGoOn: () => boolean,
  ): Promise<void> {
    const { effects, now, log, onScaled, onWoken } = this.#options;
    const { key } = workload;
    const isWake = decision.kind === 'wake';
    const patch = { to: decision.wanted };
    this.#patching.set(key, patch);
    // A patch of a later function of that name is not this one's to end.
    const end = () => this.#patching.get(key) === patch && this.#patching.delete(key);
    try {
      const outcome = await effects.scale({ workload, to: patch.to, mayGoOn });
      end();
      if (outcome.kind === 'overtaken') return;
      this.#dueSinceMs.delete(key);
      onScaled(workload, outcome, isWake);
      effects.onScaled(workload, decision, isWake && wakeAtMs !== undefined ? now() - wakeAtMs : undefined);
      if (isWake) onWoken(key);
    } catch (error) {
      end();
      log.warn({ function: key, to: patch.to, error: describeError(error) }, 'scaling failed; trying again');
    }
  }
}
