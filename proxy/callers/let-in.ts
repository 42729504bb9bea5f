/** From a caller's headers to those that its function gets, past the function's gate. */
import type { IncomingMessage } from 'node:http';
import type { RawHeaders } from '../../common/relay/types.ts';
import { forwardHeaders, originOf, type CallOrigin } from '../edge/headers.ts';
import type { Ids } from '../edge/ids.ts';
import type { CallerGate, Pass, Visit } from './gate.ts';

export interface Arriving {
  /** End-to-end headers as the caller wrote them. */
  readonly headers: RawHeaders;
  readonly origin: CallOrigin;
}

/** @throws ReasonError why the caller is not let in, at once or by the promise */
export function letIn(
  gate: CallerGate | undefined,
  { headers, origin }: Arriving,
  ids: Ids,
): string[] | Promise<string[]> {
  if (gate === undefined) return forwardHeaders(headers, origin, ids);
  const forward = (pass: Pass): string[] => {
    const forwarded = forwardHeaders(pass.headers, origin, ids);
    forwarded.push(...pass.added);
    return forwarded;
  };
  const pass = gate.enter({ headers, address: origin.address });
  return pass instanceof Promise ? pass.then(forward) : forward(pass);
}

/** Goes on at once where nothing has to be asked of anybody, so that most calls cost no promise. */
export function whenLetIn(
  forwarded: string[] | Promise<string[]>,
  start: (headers: string[]) => void,
  refuse: (error: unknown) => void,
): void {
  if (forwarded instanceof Promise) forwarded.then(start).catch(refuse);
  else start(forwarded);
}

/** For routes that pass nothing on. */
export function visitOf(req: IncomingMessage): Visit {
  return { headers: req.rawHeaders, address: originOf(req.socket, '').address };
}
