/**
 * Tells the kubelet's probes from callers by their rate. Both come from the node's address, and each probe is a
 * connection of its own. So connections are allowed for at the rate of the pod's probes. The allowance that is not used
 * is kept up to one connection per probe, and one more for a connection that is counted a moment before ours.
 */

export interface ProbePeriod {
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
}

const DEFAULT: ProbePeriod = { periodSeconds: 10, timeoutSeconds: 1 };

/** `1:3`: every second, with a timeout of 3 s. What cannot be read is a probe with Kubernetes' own defaults. */
export function parseProbes(items: readonly string[]): ProbePeriod[] {
  return items.map((item) => {
    const [periodSeconds, timeoutSeconds] = item.split(':').map(Number);
    return {
      periodSeconds: positive(periodSeconds) ?? DEFAULT.periodSeconds,
      timeoutSeconds: positive(timeoutSeconds) ?? DEFAULT.timeoutSeconds,
    };
  });
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) && value > 0 ? value : undefined;
}

/** How many come in a millisecond, of all of them. */
export function probesPerMs(probes: readonly ProbePeriod[]): number {
  return probes.reduce((sum, { periodSeconds }) => sum + 1 / (periodSeconds * 1_000), 0);
}

export class ProbeBudget {
  readonly #perMs: number;
  readonly #kept: number;
  #credit: number;
  #atMs: number;

  constructor(probes: readonly ProbePeriod[], nowMs: number) {
    this.#perMs = probesPerMs(probes);
    this.#kept = probes.length + 1;
    this.#credit = this.#kept;
    this.#atMs = nowMs;
  }

  /**
   * @param opened connections since the last call; below zero: others of which more was subtracted than had come
   * @returns how many of them no probe explains
   */
  take(opened: number, nowMs: number): number {
    const credit = this.#credit + (nowMs - this.#atMs) * this.#perMs - opened;
    this.#atMs = nowMs;
    // A probe that comes some ms early is no caller.
    const unexplained = Math.max(0, Math.ceil(-credit - 0.5));
    this.#credit = Math.min(this.#kept, credit + unexplained);
    return unexplained;
  }
}
