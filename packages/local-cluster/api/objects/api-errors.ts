/**
 * Every way in which the API says no, with the code, reason and wording that Kubernetes uses, since kubectl
 * and client-go tell these apart by code and reason. One constructor function for each; nothing else in the
 * API server builds a Status.
 */
import type { Kind } from './kinds.ts';
import type { StatusError } from './types.ts';

/** One field that is wrong; `message` says what is allowed. */
export interface FieldCause {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly causes?: readonly FieldCause[];
  readonly retryAfterSeconds?: number;
}

export class ApiError extends Error implements StatusError {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/** `deployments.apps`, as Kubernetes names a resource in messages. */
export function qualified(kind: Pick<Kind, 'group' | 'resource'>): string {
  return kind.group === '' ? kind.resource : `${kind.resource}.${kind.group}`;
}

function detailsOf(kind: Kind, name: string): StatusDetails {
  return { name, group: kind.group, kind: kind.resource };
}

export function notFound(kind: Kind, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(kind)} "${name}" not found`, detailsOf(kind, name));
}

export function alreadyExists(kind: Kind, name: string): ApiError {
  const text = `${qualified(kind)} "${name}" already exists`;
  return new ApiError(409, 'AlreadyExists', text, detailsOf(kind, name));
}

export function conflict(kind: Kind, name: string, why?: string): ApiError {
  const cause =
    why ?? 'the object has been modified; please apply your changes to the latest version and try again';
  const text = `Operation cannot be fulfilled on ${qualified(kind)} "${name}": ${cause}`;
  return new ApiError(409, 'Conflict', text, detailsOf(kind, name));
}

/** 422 with every fault in it; a single one is written plainly, several in brackets, as Kubernetes does. */
export function invalid(kind: Kind, name: string, causes: readonly FieldCause[]): ApiError {
  const lines = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const list = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
  const title = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
  const details = { name, group: kind.group, kind: kind.kind, causes };
  return new ApiError(422, 'Invalid', `${title} "${name}" is invalid: ${list}`, details);
}

export function forbidden(kind: Kind, name: string, why: string): ApiError {
  const what = name === '' ? qualified(kind) : `${qualified(kind)} "${name}"`;
  const text = `${what} is forbidden: ${why}`;
  return new ApiError(403, 'Forbidden', text, detailsOf(kind, name));
}

export function badRequest(why: string): ApiError {
  return new ApiError(400, 'BadRequest', why);
}

export function unauthorizedError(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

export function unknownPath(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource');
}

export function methodNotAllowed(): ApiError {
  const text = 'the server does not allow this method on the requested resource';
  return new ApiError(405, 'MethodNotAllowed', text);
}

export function unsupportedMediaType(got: string, allowed: readonly string[]): ApiError {
  const text = `the body of the request was in an unknown format (${got}) - accepted media types include: ${allowed.join(', ')}`;
  return new ApiError(415, 'UnsupportedMediaType', text);
}

/** The resourceVersion or continue token lies before what the history still holds; the client lists again. */
export function expired(why: string): ApiError {
  return new ApiError(410, 'Expired', why);
}

export function tooManyRequests(why: string, causes: readonly FieldCause[]): ApiError {
  return new ApiError(429, 'TooManyRequests', why, { causes });
}

export function internal(why: string): ApiError {
  return new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);
}

/** The body of a refusal; what was not foreseen is a 500 that still says what happened. */
export function statusBody(error: unknown): { code: number; [field: string]: unknown } {
  const fault = error instanceof ApiError ? error : internal(String(error));
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: fault.message,
    reason: fault.reason,
    ...(fault.details === undefined ? {} : { details: fault.details }),
    code: fault.code,
  };
}
