/**
 * Stable and panic windows, as Knative's: the load averaged over 60 s decides, unless the last 6 s ask for
 * twice the pods that are ready. Then they decide, and nothing goes down until a stable window has passed
 * without such a demand. Pure: the state goes in and comes out.
 */
import { DEFAULT_TUNING, type Tuning } from './tuning.ts';

type PanicTuning = Pick<Tuning, 'stableWindowMs' | 'panicThreshold'>;

export type PanicState =
  | { readonly isPanicking: false }
  | {
      readonly isPanicking: true;
      /** When the short window last asked for the threshold's multiple of the ready pods. */
      readonly lastOverMs: number;
      /** The most that was wanted since panic began; nothing below it until it ends. */
      readonly peakReplicas: number;
    };

export const CALM: PanicState = Object.freeze({ isPanicking: false });

export interface PanicInput {
  /** Wanted by the long window's average; undefined without data. */
  readonly stableReplicas: number | undefined;
  /** Wanted by the short window's average; undefined without data. */
  readonly panicReplicas: number | undefined;
  readonly readyReplicas: number;
}

export interface PanicResult {
  /** undefined when neither window has data and there is no panic. */
  readonly replicas: number | undefined;
  readonly state: PanicState;
}

export function panicStep(
  state: PanicState,
  input: PanicInput,
  nowMs: number,
  tuning: PanicTuning = DEFAULT_TUNING,
): PanicResult {
  const next = nextState(state, input, nowMs, tuning);
  // Outside panic the short window does not count, except at a start, when the long one has no data yet.
  if (!next.isPanicking) return { replicas: input.stableReplicas ?? input.panicReplicas, state: next };
  return { replicas: next.peakReplicas, state: next };
}

function nextState(
  state: PanicState,
  input: PanicInput,
  nowMs: number,
  { stableWindowMs, panicThreshold }: PanicTuning,
): PanicState {
  const ready = Math.max(1, input.readyReplicas);
  const isOver = (input.panicReplicas ?? 0) / ready >= panicThreshold;
  if (!isOver && !state.isPanicking) return CALM;
  const lastOverMs = isOver || !state.isPanicking ? nowMs : state.lastOverMs;
  // A clock that jumped back by more than the window must not make a panic that lasts until it is caught up.
  if (nowMs - lastOverMs >= stableWindowMs || lastOverMs - nowMs > stableWindowMs) return CALM;
  const wanted = Math.max(input.panicReplicas ?? 0, input.stableReplicas ?? 0);
  const peak = state.isPanicking ? state.peakReplicas : 0;
  return { isPanicking: true, lastOverMs, peakReplicas: Math.max(peak, wanted) };
}
