/**
 * Which of an exchange's clocks has run out; pure. Each is its own outcome, and each runs only while it is the
 * one that could be waited for.
 */
import { isOver } from './clock.ts';
import type { FailurePhase, Timeouts } from '../types.ts';

/** RFC 9110 §10.1.1: a client that waits for a 100 must not wait forever; older servers never send one. */
const CONTINUE_WAIT_MS = 1_000;

/** Where an exchange is, in the clock's time. */
export interface Progress {
  readonly phase: 'connect' | 'head' | 'body';
  readonly startedAt: number;
  readonly connectingSince: number;
  /** When a byte last came or went. */
  readonly activeAt: number;
  /** The body waits for the upstream's 100, since `activeAt`. */
  readonly awaitsContinue: boolean;
  /** The next byte is the caller's: to send of the body, or to take of the answer. */
  readonly awaitsCaller: boolean;
}

/** @returns the phase that ran out of time, `continue` when the body may go without leave, or undefined */
export function overdue(at: Progress, limits: Timeouts, now: number): FailurePhase | 'continue' | undefined {
  if (isOver(at.startedAt, limits.totalMs, now)) return at.phase;
  const isCallers = at.awaitsCaller || limits.silenceMs === undefined;
  const isIdle = isOver(at.activeAt, isCallers ? limits.idleMs : limits.silenceMs, now);
  if (at.phase === 'body') return isIdle ? 'body' : undefined;
  if (isOver(at.startedAt, limits.headMs, now)) return at.phase;
  if (at.phase === 'connect')
    return isOver(at.connectingSince, limits.connectMs, now) ? 'connect' : undefined;
  if (at.awaitsContinue) return isOver(at.activeAt, CONTINUE_WAIT_MS, now) ? 'continue' : undefined;
  return at.awaitsCaller && isIdle ? 'send' : undefined;
}
