/** Bodies that are stored beside their jobs, in chunks. */
import { escapeToken, type FunctionId } from '../bus/subjects.ts';

export class BodyStoreError extends Error {
  readonly code: 'too-large' | 'incomplete';

  constructor(code: 'too-large' | 'incomplete', message: string) {
    super(message);
    this.name = 'BodyStoreError';
    this.code = code;
  }
}

export interface StoredBody {
  /** See {@link bodyName}. */
  readonly name: string;
  readonly size: number;
}

export const BODY_CHUNK_BYTES = 128 * 1024;
/** 1 MiB under way: enough to keep a server on the same network busy. */
export const UNCONFIRMED_MAX = 8;
/** Memory that a body takes while it is stored. */
export const UNCONFIRMED_BYTES_MAX = (UNCONFIRMED_MAX + 1) * BODY_CHUNK_BYTES;

/**
 * The name of a stored body: `<namespace>.<function>.<secret>`, and `<namespace>._.<secret>` of an event, which several
 * functions read. So a permission on NATS can name the function. Sidecars of 0.1.0 know names of one token only.
 * @param secret unique forever
 */
export function bodyName(
  { namespace, name }: Pick<FunctionId, 'namespace'> & { readonly name?: string },
  secret: string,
): string {
  return `${escapeToken(namespace)}.${name === undefined ? '_' : escapeToken(name)}.${secret}`;
}

/** Whether it is a name of one token: who knows it may read the body. */
export function isOldBodyName(name: string): boolean {
  return /^[\w-]{1,128}$/.test(name);
}

/** Whether it is the name of an event's body. Functions of its namespace that know it may read the body. */
export function isEventBodyName(name: string): boolean {
  return isBodyName(name) && name.split('.')[1] === '_';
}

/** Whether a function that knows this name may read the body, although it is not the function's own. */
export function isSharedWith({ namespace }: FunctionId, name: string): boolean {
  return isOldBodyName(name) || (isEventBodyName(name) && name.startsWith(bodyName({ namespace }, '')));
}

export function isBodyName(name: string): boolean {
  return isOldBodyName(name) || /^[\w%-]{1,500}\.[\w%-]{1,500}\.[\w-]{1,128}$/.test(name);
}

/** A body that only this function has. */
export function isBodyOf(id: FunctionId, name: string): boolean {
  return isBodyName(name) && name.startsWith(bodyName(id, ''));
}
