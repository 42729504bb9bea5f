/**
 * Whether a container runs again, and when: delays between a container's runs and between pulls. The first restart
 * follows at once, then 10 s doubling to 5 minutes. A run of 10 minutes resets it. `baseMs` (10 s) shrinks all of it
 * for tests.
 */
import type { ContainerKind, PodSpec } from '../pods/pod-spec.ts';

const MAX_FACTOR = 30; // 10 s × 30 = 5 min

/** A sidecar always does; an init container until it succeeds; the others as the pod's policy says. */
export function isRestarted(
  kind: ContainerKind,
  policy: NonNullable<PodSpec['restartPolicy']>,
  exitCode: number,
): boolean {
  if (kind === 'sidecar') return true;
  if (policy === 'Never') return false;
  return exitCode !== 0 || (kind === 'main' && policy === 'Always');
}

export class RestartBackoff {
  readonly #baseMs: number;
  readonly #now: () => number;
  #factor = 0;
  #pullFactor = 0;
  #lastMs = 0;
  #endedAt = -Infinity;
  #startedAt: number;

  constructor(baseMs: number, now: () => number = () => performance.now()) {
    this.#baseMs = baseMs;
    this.#now = now;
    this.#startedAt = now();
  }

  /** A run has ended. */
  ended(): void {
    this.#endedAt = this.#now();
    if (this.#endedAt - this.#startedAt > this.#baseMs * MAX_FACTOR * 2) this.#factor = 0;
  }

  /** How long to wait before the next run, counted from the end of the last. */
  nextDelayMs(): number {
    this.#lastMs = this.#baseMs * this.#factor;
    const delayMs = Math.max(0, this.#lastMs - (this.#now() - this.#endedAt));
    this.#factor = this.#factor === 0 ? 1 : Math.min(MAX_FACTOR, this.#factor * 2);
    this.#startedAt = this.#now() + delayMs;
    return delayMs;
  }

  pullFailed(): number {
    this.#pullFactor = this.#pullFactor === 0 ? 1 : Math.min(MAX_FACTOR, this.#pullFactor * 2);
    return this.#baseMs * this.#pullFactor;
  }

  pulled(): void {
    this.#pullFactor = 0;
  }

  /** `10s`, `1m20s`: the whole delay in force, as Go prints it. */
  get text(): string {
    const seconds = this.#lastMs / 1000;
    const minutes = Math.floor(seconds / 60);
    return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
  }
}
