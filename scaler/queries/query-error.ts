/** Errors of queries, as `POST /debug/promql/eval` gives them. */
import type { PromqlError } from '../promql/error.ts';

/** Status and body of an error. */
export function viewOfError(error: PromqlError): { status: number; body: object } {
  // Positions are for people: the first character is 1, as in the message.
  const place = error.position === undefined ? {} : { position: error.position + 1 };
  return {
    status: error.code === 'remote' ? 502 : 400,
    body: { error: error.code, message: error.message, ...place },
  };
}
