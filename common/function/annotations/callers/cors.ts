/**
 * `slimfaas.dev/cors`: which sites' scripts may call a function from a browser. What cannot be read opens nothing: after
 * a fault fewer sites may call, never more.
 */
import type { CorsSpec } from '../../callers.ts';
import type { ReportFault } from '../faults.ts';
import { fields, items, numberOr, parseJsonPart, reject, type JsonPart } from '../json.ts';
import { MAX_ITEMS } from '../bounds.ts';
import { commaItems } from '../values.ts';

export const CLOSED_CORS: CorsSpec = {
  origins: [],
  methods: [],
  headers: [],
  exposed: [],
  hasCredentials: false,
  maxAgeSeconds: undefined,
};

/** A day; browsers keep none longer. */
export const MAX_CORS_AGE = 86_400;

const NOBODY = 'no other site may call it';
const ORIGINS =
  "origins like https://shop.example.com, https://*.example.com or http://localhost:3000, or '*'";
const TOKEN = /^[\w!#$%&'*+.^`|~-]{1,100}$/;
const ORIGIN =
  /^[a-z][a-z0-9+.-]{0,30}:\/\/(?:\*\.)?(?:[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/** `none`, a comma list of origins, or `{"Origins": ["https://shop.example.com"], "Methods": ["GET"], …}`. */
export function readCors(text: string, report: ReportFault): CorsSpec | 'none' {
  if (text.toLowerCase() === 'none') return 'none';
  if (!text.startsWith('{')) return { ...CLOSED_CORS, origins: readOrigins(commaItems(text), report) };
  const top = parseJsonPart(text, report, NOBODY);
  return top === undefined ? CLOSED_CORS : readParts(top);
}

function readParts(top: JsonPart): CorsSpec {
  const f = fields(top, ['Origins', 'Methods', 'Headers', 'ExposeHeaders', 'Credentials', 'MaxAge'], NOBODY);
  if (f.Origins === undefined) reject(top, `Origins: a list of ${ORIGINS}`, NOBODY);
  const origins = f.Origins ? readOrigins(texts(f.Origins, 'origins'), f.Origins.report) : [];
  return {
    origins,
    methods: readMethods(tokens(f.Methods, 'methods, as "PUT"')),
    headers: readHeaders(tokens(f.Headers, 'names of headers')),
    exposed: tokens(f.ExposeHeaders, 'names of headers'),
    hasCredentials: readCredentials(f.Credentials, origins),
    maxAgeSeconds: numberOr(f.MaxAge, { min: 0, max: MAX_CORS_AGE, isWhole: true }, undefined),
  };
}

/** Each origin as a browser writes it: in lower case, without the port that its scheme has anyway. */
export function readOrigins(written: readonly string[], report: ReportFault): readonly string[] {
  if (written.length > MAX_ITEMS)
    report('', `${written.length} origins; allowed: at most ${MAX_ITEMS}`, `the first ${MAX_ITEMS}`);
  const origins = new Set<string>();
  for (const item of written.slice(0, MAX_ITEMS)) {
    const origin = item
      .toLowerCase()
      .replace(/\/$/, '')
      .replace(/^(https:\/\/.*):443$|^(http:\/\/.*):80$/, '$1$2');
    if (origin === '*' || ORIGIN.test(origin)) origins.add(origin);
    else report(item, `not allowed; allowed: ${ORIGINS}`, 'this site may not call it');
  }
  return origins.has('*') ? ['*'] : [...origins];
}

/** Browsers write these in capitals; `*` is any. */
export function readMethods(methods: readonly string[]): readonly string[] {
  return methods.includes('*') ? [] : methods.map((method) => method.toUpperCase());
}

/** @returns none for `*` */
export function readHeaders(headers: readonly string[]): readonly string[] {
  return headers.includes('*') ? [] : headers;
}

export function isCorsToken(text: string): boolean {
  return TOKEN.test(text);
}

export const CREDENTIALS_WITH_ANY =
  "credentials are not allowed beside the origin '*': any site could act as whoever is signed in; name the origins";

function readCredentials(part: JsonPart | undefined, origins: readonly string[]): boolean {
  if (part === undefined || part.value === false) return false;
  if (part.value !== true) reject(part, 'true or false', 'false');
  else if (origins.includes('*')) part.report('true', CREDENTIALS_WITH_ANY, 'false');
  else return true;
  return false;
}

/** A bad item would leave a list empty, which is any: then it is a list of nothing that any request has. */
function tokens(part: JsonPart | undefined, what: string): readonly string[] {
  if (part === undefined) return [];
  const list = texts(part, what);
  const good = list.filter(isCorsToken);
  for (const text of list)
    if (!isCorsToken(text)) part.report(text, `${part.path} is not allowed; allowed: ${what}`, 'ignored');
  return good.length > 0 ? good : [NO_TOKEN];
}

/** Stands for no method and no header. */
const NO_TOKEN = 'none';

function texts(part: JsonPart, what: string): string[] {
  if (typeof part.value === 'string') return commaItems(part.value);
  const list = items(part, what, NOBODY) ?? [];
  return list.map((item) => {
    if (typeof item.value === 'string') return item.value.trim();
    return JSON.stringify(item.value);
  });
}
