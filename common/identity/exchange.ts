/**
 * The client's half of the exchange: one HTTPS request. By the known address first, so that a start from zero waits for
 * no lookup, and then by name.
 */
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import {
  CONTRACT,
  EXCHANGE_PATH,
  type ExchangeAnswer,
  type SharedCredentials,
  type TokenExchangeRequest,
} from './messages.ts';

export interface IssuerPlace {
  /** `https://host:port` */
  readonly url: string;
  /** An IP address for it; '' or anything else for none. */
  readonly address: string;
}

const EXCHANGE_TIMEOUT_MS = 3_000;
const MAX_EXCHANGE_ANSWER_BYTES = 64 * 1024;

export interface ExchangeInput extends Omit<TokenExchangeRequest, 'token' | 'contract'> {
  readonly tokenFile: string;
}

/** @throws Error for a refusal, and whatever reading the token and asking may throw */
export async function exchange(
  { url, address }: IssuerPlace,
  ca: string,
  { tokenFile, ...rest }: ExchangeInput,
): Promise<ExchangeAnswer> {
  // Read each time: the kubelet puts a new one there long before the old one ends.
  const token = (await readFile(tokenFile, 'utf8')).trim();
  const body = JSON.stringify({ ...rest, token, contract: CONTRACT } satisfies TokenExchangeRequest);
  const named = new URL(url);
  if (isIP(address) === 0) return readAnswer(await post(named, named.hostname, ca, body));
  const answer = await post(named, address, ca, body).catch(() => post(named, named.hostname, ca, body));
  return readAnswer(answer);
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function post({ hostname, port }: URL, host: string, ca: string, body: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = httpsRequest({
    host,
    port: port === '' ? 443 : port,
    servername: hostname,
    path: EXCHANGE_PATH,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    ca,
    agent: false,
    signal: AbortSignal.timeout(EXCHANGE_TIMEOUT_MS),
  });
  outgoing.on('error', reject);
  outgoing.on('response', (response) => {
    const chunks: Buffer[] = [];
    let length = 0;
    response.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_EXCHANGE_ANSWER_BYTES)
        outgoing.destroy(new Error('the answer of the issuer is too long'));
      chunks.push(chunk);
    });
    response.on('error', reject);
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
    );
  });
  outgoing.end(body);
  return promise;
}

function readAnswer({ status, text }: Answer): ExchangeAnswer {
  const value = parsed(text);
  if (status !== 200) throw new Error(`the issuer answers ${status}: ${String(value['message'] ?? '')}`);
  const { jwt, expires, ca, natsCa, renewMs, shared } = value;
  if (typeof jwt !== 'string' || typeof expires !== 'number' || typeof ca !== 'string')
    throw new Error('the answer of the issuer lacks jwt, expires or ca');
  return {
    jwt,
    expires,
    ca,
    ...(typeof natsCa === 'string' ? { natsCa } : {}),
    ...(typeof renewMs === 'number' && renewMs > 0 ? { renewMs } : {}),
    ...(shared === undefined ? {} : { shared: readShared(shared) }),
  };
}

const SHARED_FIELDS = { jwt: ['jwt', 'seed'], token: ['token'], password: ['user', 'password'] } as const;

function readShared(value: unknown): SharedCredentials {
  const shared = (value ?? {}) as Record<string, unknown>;
  const fields = SHARED_FIELDS[shared['kind'] as SharedCredentials['kind']] as readonly string[] | undefined;
  if (!fields?.every((field) => typeof shared[field] === 'string'))
    throw new Error('the answer of the issuer has credentials of a kind that is not known here');
  return shared as unknown as SharedCredentials;
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
