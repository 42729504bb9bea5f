/**
 * A job's head as it was read from NATS, where anybody with access to the server may have written it. Every field is
 * checked as in a stranger's request, because it becomes the start of a request to the function.
 */
import { MessageError } from '../runtime/errors.ts';
import { isBodyName } from './body.ts';
import { isFieldValue, isTargetText, isToken } from '../relay/wire/grammar.ts';
import type { RawHeaders } from '../relay/types.ts';

export interface JobHead {
  /** 128 random bits in hex: half of the element id, see `elementId` in job.ts. */
  readonly secret: string;
  readonly method: string;
  readonly path: string;
  /** End-to-end headers as the caller sent them: order, case and duplicates kept. */
  readonly headers: RawHeaders;
  readonly acceptedAtMs: number;
  /** Where the body is when it is not inline. */
  readonly object?: { readonly name: string; readonly size: number };
  /** Where the result is posted; checked when the job was accepted. */
  readonly callbackUrl?: string;
  /** The element id of the dead job that this one replays. */
  readonly replayOf?: string;
  /** The event that it is. Then DefaultPublish rules its tries, and others may have the same stored body. */
  readonly event?: string;
}

/** Two end-to-end heads of the proxy's largest (32 KiB, 200 headers) fit in; see --max-header-bytes, --max-headers. */
const HEADERS_MAX = 4_096;
const METHOD_MAX = 64;
/** ECMAScript's last moment; beyond it a Date has no text. */
const TIME_MAX_MS = 8.64e15;
/** Framing and hop-by-hop fields are made again for the function; from here they would be somebody else's framing. */
const NOT_CARRIED = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** @throws MessageError that names the field and what it must be */
export function checkHead(value: unknown): JobHead {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MessageError('job head is not a JSON object');
  const head = value as Record<keyof JobHead, unknown>;
  const { secret, method, path, headers, acceptedAtMs, object, callbackUrl, replayOf, event } = head;
  must('secret', isText(secret) && /^[0-9a-f]{1,64}$/.test(secret), 'hex digits');
  must('method', isText(method) && method.length <= METHOD_MAX && isToken(method), 'a token of RFC 9110');
  must(
    'path',
    isText(path) && path.startsWith('/') && isTargetText(path),
    'a path, without spaces and controls',
  );
  must('acceptedAtMs', isTime(acceptedAtMs), 'milliseconds since 1970');
  checkHeaders(headers);
  must('object', object === undefined || isStoredBody(object), 'the name and size of a stored body');
  must('callbackUrl', isOptionalText(callbackUrl), 'text');
  must('replayOf', isOptionalText(replayOf), 'text');
  must('event', isOptionalText(event), 'text');
  return value as JobHead;
}

function checkHeaders(value: unknown): void {
  const isList = Array.isArray(value) && value.length % 2 === 0 && value.length <= 2 * HEADERS_MAX;
  must('headers', isList, `names and values in turn, ${HEADERS_MAX} at most`);
  const headers = value as unknown[];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i];
    const field = headers[i + 1];
    must('headers', isText(name) && isToken(name), 'names that are tokens of RFC 9110');
    must('headers', isText(field) && isFieldValue(field), `a value of ${name} that fits on one line`);
    must(
      'headers',
      !NOT_CARRIED.has((name as string).toLowerCase()),
      `end-to-end fields, which ${name} is not`,
    );
  }
}

function must(field: string, isGood: boolean, allowed: string): void {
  if (!isGood) throw new MessageError(`job head: ${field} is missing or wrong; it must be ${allowed}`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || isText(value);
}

export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= TIME_MAX_MS;
}

/** Its name becomes a part of a NATS subject. */
function isStoredBody(value: unknown): boolean {
  const { name, size } = (value ?? {}) as { name?: unknown; size?: unknown };
  return isText(name) && isBodyName(name) && Number.isSafeInteger(size) && (size as number) >= 0;
}
