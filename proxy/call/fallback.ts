/**
 * `slimfaas.dev/fallback`: what a caller gets where no pod of a function came in time. It is used at most once for a
 * call, so functions that name each other make no circle. The reason stays in `SlimFaas-Reason` of an answer as it is
 * written, so that machines are not deceived.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import type { BodySource, RequestHead } from '../../common/relay/index.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';

export type Fallback =
  | { readonly kind: 'answer'; readonly error: ReasonError }
  | { readonly kind: 'function'; readonly error?: undefined; readonly entry: FunctionEntry };

/** @returns undefined: the caller is told why the call failed */
export function fallbackOf(
  entry: FunctionEntry,
  { body, head }: { readonly body: BodySource; readonly head: Pick<RequestHead, 'headers'> },
  error: ReasonError,
  { lookup }: { readonly lookup: Pick<FunctionLookup, 'neighbour' | 'partFor'> },
): Fallback | undefined {
  const { fallback } = entry.view.spec;
  if (!fallback || error.code !== 'cold-start-timeout') return undefined;
  if (fallback.kind === 'answer') {
    const { status, contentType, body: text } = fallback;
    const answer = { status, contentType, body: text };
    return { kind: 'answer', error: new ReasonError(error.code, error.message, { answer }) };
  }
  const other = lookup.neighbour(entry, fallback.name);
  // A body that has been read in part is not there for another function.
  if (!other || other === entry || !body.canStart) return undefined;
  const part = lookup.partFor(other, head.headers);
  // A canary of it may be the one that has failed.
  return { kind: 'function', entry: part === entry ? other : part };
}
