/**
 * How one process of a container is ended: preStop, then (when it is this container's turn) SIGTERM, then
 * SIGKILL when the time is over. It leaves no timer behind, so that nobody waits for a grace period that is
 * not needed any more.
 */
import { sleep } from '../../../../common/runtime/lifecycle.ts';
import type { Deadline } from './deadline.ts';
import type { ContainerProcess } from './process.ts';

/** As the kubelet: whatever is left of the grace period, SIGKILL comes no sooner than this after SIGTERM. */
const MIN_GRACE_MS = 2_000;

export interface Termination {
  readonly deadline: Deadline;
  /** Resolves when those that have to end before this one have ended. */
  readonly turn: Promise<unknown>;
  /** Runs until the signal at most; undefined: there is none. */
  readonly preStop: ((signal: AbortSignal) => Promise<unknown>) | undefined;
}

/** Resolves when the process is gone. */
export async function terminate(process: ContainerProcess, termination: Termination): Promise<void> {
  const { deadline, turn, preStop } = termination;
  if (preStop && deadline.leftMs > 0) {
    const over = new AbortController();
    // The deadline may still come nearer while the hook runs.
    await Promise.race([preStop(over.signal), deadline.passed, process.exited]);
    over.abort();
  }
  await Promise.race([turn, deadline.passed, process.exited]);
  process.terminate();
  const exited = new AbortController();
  void process.exited.then(() => exited.abort());
  await Promise.race([process.exited, Promise.all([deadline.passed, sleep(MIN_GRACE_MS, exited.signal)])]);
  process.kill();
  await process.exited;
}
