/**
 * What waits and runs in the other proxies, for one function, as they report it each second
 * (docs/internals/architecture.md, "activity"). So a status shows the sum, whichever proxy answers. A proxy that says
 * nothing more has nothing, or is gone.
 */
import type { ActivityMessage } from '../../common/bus/messages.ts';

/** Three reports that did not come. */
const BELIEVED_MS = 3_500;
/** Beyond it the one heard longest ago is forgotten. */
const MOST_PROXIES = 64;

interface Report {
  readonly waiting: number;
  readonly running: number;
  readonly atMs: number;
}

export class OtherProxies {
  /** By pod, the one heard longest ago first. */
  readonly #reports = new Map<string, Report>();

  heard({ pod, waiting, runningNow }: ActivityMessage, nowMs: number): void {
    this.#reports.delete(pod);
    if (waiting + runningNow === 0) return;
    const [oldest] = this.#reports.keys();
    if (oldest !== undefined && this.#reports.size >= MOST_PROXIES) this.#reports.delete(oldest);
    this.#reports.set(pod, { waiting, running: runningNow, atMs: nowMs });
  }

  sum(nowMs: number): { waiting: number; running: number } {
    const total = { waiting: 0, running: 0 };
    for (const [pod, report] of this.#reports) {
      if (nowMs - report.atMs > BELIEVED_MS) {
        this.#reports.delete(pod);
        continue;
      }
      total.waiting += report.waiting;
      total.running += report.running;
    }
    return total;
  }
}
