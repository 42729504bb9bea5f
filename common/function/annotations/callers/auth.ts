/**
 * `slimfaas.dev/auth`: who may call a function. What is meant to be closed must not open by a typing error: after any
 * fault nobody is let in.
 */
import type { AuthSpec, JwtSpec } from '../../callers.ts';
import type { ReportFault } from '../faults.ts';
import { fields, items, parseJsonPart, reject, textOr, type JsonPart } from '../json.ts';
import { isObject } from '../../../runtime/is-object.ts';

const CLOSED = 'every call is refused';

/** `none`, or `{"Jwt": {"Issuer": …}, "ApiKeys": ["team-a"]}`. */
export function readAuth(text: string, report: ReportFault): AuthSpec {
  if (text.toLowerCase() === 'none') return 'none';
  let faults = 0;
  const top = parseJsonPart(
    text,
    (value, problem) => {
      faults++;
      report(value, problem, CLOSED);
    },
    CLOSED,
  );
  if (top === undefined) return 'closed';
  const f = fields(top, ['Jwt', 'ApiKeys'], CLOSED);
  const jwt = f.Jwt && readJwt(f.Jwt);
  const apiKeys = f.ApiKeys ? texts(f.ApiKeys, /^(?:\*|[\w.-]{1,253})$/, 'names of API keys, or "*"') : [];
  if (faults === 0 && !jwt && apiKeys.length === 0) reject(top, 'Jwt, ApiKeys, or both', CLOSED);
  return faults > 0 ? 'closed' : { jwt, apiKeys };
}

function readJwt(part: JsonPart): JwtSpec {
  const f = fields(part, ['Issuer', 'Audience', 'RequiredClaims', 'ForwardClaims'], CLOSED);
  const issuer = textOr(f.Issuer, '');
  if (issuer === '') reject(part, 'an Issuer as the proxy has it in --jwt-issuers', CLOSED);
  return {
    issuer,
    audience: textOr(f.Audience, ''),
    requiredClaims: f.RequiredClaims ? readClaims(f.RequiredClaims) : {},
    forwardClaims: f.ForwardClaims
      ? texts(f.ForwardClaims, /^[\w-]{1,64}$/, 'names of claims (a-z, 0-9, "_", "-")')
      : [],
  };
}

function readClaims(part: JsonPart): Record<string, string> {
  const entries = isObject(part.value) ? Object.entries(part.value) : undefined;
  const isUsable = entries?.every((entry): entry is [string, string] => typeof entry[1] === 'string');
  if (entries && isUsable) return Object.fromEntries(entries as [string, string][]);
  reject(part, 'an object of claims with the text that each must have', CLOSED);
  return {};
}

function texts(part: JsonPart, form: RegExp, what: string): string[] {
  const list = items(part, what, CLOSED) ?? [];
  for (const item of list)
    if (typeof item.value !== 'string' || !form.test(item.value)) reject(item, what, CLOSED);
  return list.map(({ value }) => String(value));
}
