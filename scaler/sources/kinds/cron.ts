/** Windows of time: from each start to the next end a value, outside 0. The arithmetic is croner's. */
import type { Cron } from 'croner';
import type { SourcePlace } from '../../../common/function/spec.ts';
import type { SourceReader, SourceReading, SourceRule } from '../source-rules.ts';

type CronPlace = Extract<SourcePlace, { type: 'cron' }>;

export class CronReader implements SourceReader {
  readonly #rule: SourceRule;
  readonly #place: CronPlace;
  readonly #now: () => number;
  #edges: { readonly start: Cron; readonly end: Cron } | undefined;
  #nextMs = Infinity;

  constructor(rule: SourceRule, place: CronPlace, now: () => number) {
    this.#rule = rule;
    this.#place = place;
    this.#now = now;
  }

  async read(): Promise<readonly SourceReading[]> {
    const { start, end, timeZone, replicas } = this.#place;
    const { Cron } = await import('croner');
    const options = { timezone: timeZone, paused: true };
    this.#edges ??= { start: new Cron(start, options), end: new Cron(end, options) };
    const nowMs = this.#now();
    this.#nextMs = Math.min(nextOf(this.#edges.start, nowMs), nextOf(this.#edges.end, nowMs));
    // By what was last: the next end may be that of a day without a start.
    const isOpen = lastOf(this.#edges.start, nowMs) > lastOf(this.#edges.end, nowMs);
    const value = isOpen ? replicas : 0;
    return this.#rule.questions.map(() => ({ value }));
  }

  nextInMs(): number {
    return this.#nextMs - this.#now();
  }

  close(): void {}
}

function nextOf(cron: Cron, nowMs: number): number {
  const next = cron.nextRun(new Date(nowMs));
  if (next === null) throw new Error(`${cron.getPattern()} never comes`);
  return next.getTime();
}

/** The moment itself included; −Infinity: never. */
function lastOf(cron: Cron, nowMs: number): number {
  const [last] = cron.previousRuns(1, new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000));
  return last?.getTime() ?? -Infinity;
}
