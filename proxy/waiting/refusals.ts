/** What is told to those who do not get what they wait for: the same for calls and for connections. */
import { ReasonError } from '../../common/runtime/errors.ts';

/** @param why who waits already, or what they hold */
export function queueFull(why: string): ReasonError {
  return new ReasonError('queue-full', `${why}; try again later`, { retryAfterSeconds: 1 });
}

/** @param why no pod will ever come */
export function neverComes(why: string): ReasonError {
  return new ReasonError('cold-start-timeout', why);
}

/** @param why it took so long, as far as that is known */
export function noPodCame(coldStartMs: number, why: string): ReasonError {
  return new ReasonError('cold-start-timeout', `no pod came up in ${coldStartMs / 1000} s: ${why}`);
}
