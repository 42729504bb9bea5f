/**
 * CORS: which sites' scripts may call, as browsers ask for it. A preflight is answered here: it wakes nothing and shows no
 * credentials. Where there is a policy, it alone decides: the app's own CORS headers are left out. Pure except for `show`.
 *
 * CORS keeps no caller away: it tells a browser which pages may read an answer. Callers are kept away by auth.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CorsSpec } from '../../common/function/callers.ts';
import { HEADER } from '../../common/function/names.ts';
import { HeaderNames, headerValue, withoutHeaders } from '../../common/relay/index.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { isToken } from '../../common/relay/wire/grammar.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { cutUnreadBody } from '../../common/runtime/reason-answer.ts';

/** What a browser asks with; Node's requests and HTTP/2 streams both have it. */
export type RequestFields = Readonly<Record<string, string | string[] | undefined>>;

/** Written by slimfaas itself, and of use to a script. */
const OURS = ['Location', 'Retry-After', 'WWW-Authenticate', HEADER.elementId, HEADER.reason];
/** What a policy decides, in an app's answer. */
const DECIDED = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-allow-private-network',
  'access-control-expose-headers',
  'access-control-max-age',
];
const DECIDED_NAMES = new HeaderNames(DECIDED);
const PREFLIGHT_VARY = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers';

export function isPreflight(method: string | undefined, fields: RequestFields): boolean {
  return (
    method === 'OPTIONS' &&
    fields['origin'] !== undefined &&
    fields['access-control-request-method'] !== undefined
  );
}

interface Below {
  readonly scheme: string;
  readonly rest: string;
}

export class CorsPolicy {
  readonly #spec: CorsSpec;
  readonly #where: string;
  readonly #isAny: boolean;
  readonly #exact: ReadonlySet<string>;
  readonly #below: readonly Below[];
  readonly #exposed: string;

  /** @param where it is written, for people */
  constructor(spec: CorsSpec, where: string) {
    this.#spec = spec;
    this.#where = where;
    this.#isAny = spec.origins.includes('*');
    this.#exact = new Set(spec.origins.filter((origin) => !origin.includes('://*.')));
    this.#below = spec.origins.filter((origin) => origin.includes('://*.')).map(belowOf);
    this.#exposed = [...OURS, ...spec.exposed].join(', ');
  }

  /** The fields that an answer to this request gets, whoever wrote it. */
  fields(request: RequestFields): RawHeaders {
    const origin = this.#allowed(request['origin']);
    const vary = this.#isAny ? [] : ['Vary', 'Origin'];
    return origin === undefined
      ? vary
      : [...this.#grant(origin), 'Access-Control-Expose-Headers', this.#exposed, ...vary];
  }

  /** The fields of the answer to a preflight, which has no body. @throws ReasonError `forbidden` for another site */
  preflight(request: RequestFields): RawHeaders {
    const origin = this.#allowed(request['origin']);
    const { methods, headers, maxAgeSeconds } = this.#spec;
    if (origin === undefined)
      throw new ReasonError(
        'forbidden',
        `scripts of ${JSON.stringify(request['origin'])} may not call this (${this.#where})`,
      );
    const asked = listOf(request['access-control-request-headers']);
    const allowed = headers.length > 0 ? headers.join(', ') : asked;
    return [
      ...this.#grant(origin),
      'Access-Control-Allow-Methods',
      methods.length > 0 ? methods.join(', ') : (listOf(request['access-control-request-method']) ?? '*'),
      ...(allowed === undefined ? [] : ['Access-Control-Allow-Headers', allowed]),
      ...(maxAgeSeconds === undefined ? [] : ['Access-Control-Max-Age', String(maxAgeSeconds)]),
      'Vary',
      PREFLIGHT_VARY,
    ];
  }

  /**
   * For what the proxy answers itself: the headers are set on the answer, before it is written.
   * @returns true once a preflight was answered
   * @throws ReasonError `forbidden` for a preflight of another site
   */
  show(req: IncomingMessage, res: ServerResponse): boolean {
    this.dress(req, res);
    if (!isPreflight(req.method, req.headers)) return false;
    setAll(res, this.preflight(req.headers));
    res.removeHeader('Access-Control-Expose-Headers');
    res.writeHead(204).end();
    cutUnreadBody(req);
    return true;
  }

  /** Sets the headers of an answer that is no preflight's. */
  dress(req: IncomingMessage, res: ServerResponse): void {
    setAll(res, this.fields(req.headers));
  }

  #grant(origin: string): string[] {
    const allowed = ['Access-Control-Allow-Origin', origin];
    return this.#spec.hasCredentials ? [...allowed, 'Access-Control-Allow-Credentials', 'true'] : allowed;
  }

  /** @returns what the answer names, undefined for a site that may not call */
  #allowed(origin: string | string[] | undefined): string | undefined {
    if (this.#isAny) return '*';
    if (typeof origin !== 'string') return undefined;
    return this.#exact.has(origin) || this.#below.some((below) => isBelow(origin, below))
      ? origin
      : undefined;
  }
}

/** @param headers of an app's answer @param added what {@link CorsPolicy.fields} says */
export function withCors(headers: RawHeaders, added: RawHeaders): RawHeaders {
  const kept = withoutHeaders(headers, DECIDED_NAMES);
  if (added.at(-2) === 'Vary' && /(?:^|[\s,])(?:origin|\*)(?:$|[\s,])/i.test(headerValue(kept, 'vary') ?? ''))
    return [...kept, ...added.slice(0, -2)];
  return [...kept, ...added];
}

function setAll(res: ServerResponse, fields: RawHeaders): void {
  for (let i = 0; i + 1 < fields.length; i += 2) res.setHeader(fields[i] as string, fields[i + 1] as string);
}

/** `https://*.example.com:8443` */
function belowOf(origin: string): Below {
  const star = origin.indexOf('*');
  return { scheme: origin.slice(0, star), rest: origin.slice(star + 1) };
}

function isBelow(origin: string, { scheme, rest }: Below): boolean {
  if (!origin.startsWith(scheme) || !origin.endsWith(rest)) return false;
  return /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(origin.slice(scheme.length, origin.length - rest.length));
}

/** A list of names, as a browser asks for it; undefined for anything else. */
function listOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && value.split(/[ \t]*,[ \t]*/).every(isToken) ? value : undefined;
}
