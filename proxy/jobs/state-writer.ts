/**
 * The states of jobs that a proxy ended: cancelled ones. The job leaves the queue first, because in a full store that
 * makes the room for its state. What JetStream does not take at once is kept here, shown to callers of this proxy,
 * and written when there is room. Gives up after a minute, or at the end of the process, with an error in the log.
 */
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { JobRef, QueueLink } from '../../common/queue/queue.ts';
import { encodeState, type JobState } from '../../common/queue/state.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';

interface Unwritten {
  readonly job: JobRef;
  readonly state: JobState;
  readonly sinceMs: number;
}

const STATE_CONFIRM_MS = 2_000;
const STATE_RETRY_MS = 1_000;
const GIVE_UP_MS = 60_000;
/** About a KiB each, with the tries of its job; beyond it the oldest is given up. */
const UNWRITTEN_MAX = 1_000;

export class StateWriter implements Running {
  readonly #queue: QueueLink;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #unwritten = new Map<string, Unwritten>();
  readonly #timer: NodeJS.Timeout;
  #round: Promise<void> | undefined;

  constructor(queue: QueueLink, log: Log, now: () => number = () => performance.now()) {
    this.#queue = queue;
    this.#log = log;
    this.#now = now;
    this.#timer = setInterval(() => void this.#writeAll(), STATE_RETRY_MS);
    this.#timer.unref();
  }

  get unwritten(): number {
    return this.#unwritten.size;
  }

  /** What JetStream does not have yet, by element id. */
  stateOf(element: string): JobState | undefined {
    return this.#unwritten.get(element)?.state;
  }

  /** Resolves when JetStream has it, or it is kept. */
  async write(id: FunctionId, sequence: number, element: string, state: JobState): Promise<void> {
    const unwritten = { job: { id, sequence }, state, sinceMs: this.#now() };
    if (await this.#publish(unwritten)) return;
    const [oldest] = this.#unwritten.keys();
    if (this.#unwritten.size >= UNWRITTEN_MAX && oldest !== undefined) this.#giveUp(oldest);
    this.#unwritten.set(element, unwritten);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
    await this.#writeAll();
    for (const element of this.#unwritten.keys()) this.#giveUp(element);
  }

  #writeAll(): Promise<void> {
    this.#round ??= this.#writeRound().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #writeRound(): Promise<void> {
    for (const [element, unwritten] of this.#unwritten) {
      if (await this.#publish(unwritten)) this.#unwritten.delete(element);
      else if (this.#now() - unwritten.sinceMs > GIVE_UP_MS) this.#giveUp(element);
    }
  }

  async #publish({ job, state }: Unwritten): Promise<boolean> {
    const { live } = this.#queue;
    if (!live) return false;
    const entry = { kind: 'record', ...job, payload: encodeState(state) } as const;
    return (await live.record(entry, STATE_CONFIRM_MS)).kind === 'accepted';
  }

  #giveUp(element: string): void {
    const state = this.#unwritten.get(element)?.state.state;
    this.#unwritten.delete(element);
    this.#log.error(
      { job: element.slice(32), state },
      'JetStream did not take the state of a job; it is lost',
    );
  }
}
