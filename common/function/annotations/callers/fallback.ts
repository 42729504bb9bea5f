/** `slimfaas.dev/fallback`: what callers get when a function cannot be woken. */
import type { FallbackSpec } from '../../spec.ts';
import type { ReportFault } from '../faults.ts';
import { fields, numberOr, parseJsonPart, reject, textOr, type JsonPart } from '../json.ts';
import { isWorkloadName } from '../values.ts';

/** The body's, in UTF-8. It is kept for each function, and sent to each caller that is refused. */
const MAX_FALLBACK_BYTES = 8_192;

const NONE = 'no fallback';
const MEDIA_TYPE = /^[\w.+-]{1,80}\/[\w.+-]{1,80}(?:; ?[\w-]{1,40}=[\w.-]{1,80})?$/;

/** `{"Function": "sorry"}`, or `{"Body": "…", "Status": 200, "ContentType": "text/html"}`. */
export function readFallback(text: string, report: ReportFault): FallbackSpec | undefined {
  const top = parseJsonPart(text, report, NONE);
  if (!top) return undefined;
  const f = fields(top, ['Function', 'Body', 'Status', 'ContentType'], NONE);
  if ((f.Function === undefined) === (f.Body === undefined)) {
    reject(top, 'either Function or Body', NONE);
    return undefined;
  }
  if (f.Function) return readFunction(f.Function);
  const body = textOf(f.Body);
  if (body === undefined) return undefined;
  return {
    kind: 'answer',
    body,
    status: readStatus(f.Status),
    contentType: readType(f.ContentType),
  };
}

const STATUS = 503;
/** These have no body, or only for machines (RFC 9110, 15.3.5, 15.3.6, 15.4). */
const isWithoutBody = (status: number): boolean =>
  status === 204 || status === 205 || (status >= 300 && status < 400);

function readStatus(part: JsonPart | undefined): number {
  const status = numberOr(part, { min: 200, max: 599, isWhole: true }, STATUS);
  if (!part || !isWithoutBody(status)) return status;
  reject(part, 'a status that has a body: not 204, 205 or 300 to 399', `${STATUS}`);
  return STATUS;
}

function readFunction(part: JsonPart): FallbackSpec | undefined {
  const name = textOr(part, '');
  if (isWorkloadName(name)) return { kind: 'function', name };
  reject(part, 'the name of a function of the same namespace', NONE);
  return undefined;
}

function textOf(part: JsonPart | undefined): string | undefined {
  if (typeof part?.value === 'string' && Buffer.byteLength(part.value) <= MAX_FALLBACK_BYTES)
    return part.value;
  part?.report('', `Body is not allowed; allowed: a text of at most ${MAX_FALLBACK_BYTES} bytes`, NONE);
  return undefined;
}

function readType(part: JsonPart | undefined): string {
  const fallback = 'text/plain; charset=utf-8';
  const text = textOr(part, fallback);
  if (MEDIA_TYPE.test(text)) return text;
  if (part) reject(part, 'a media type such as text/html; charset=utf-8', fallback);
  return fallback;
}
