/**
 * Credentials of sources, from Secrets of the functions' own namespaces. The scaler has no right to any of them: who
 * owns the namespace gives it the right to read that one by name (docs/decisions/sources.md). Read again now and then, so
 * that new credentials count without a restart.
 */
import { createHash } from 'node:crypto';
import { describeError } from '../../common/runtime/errors.ts';
import type { Credentials } from './source-rules.ts';
import { SourceTurns } from './turns.ts';

/** @returns values by key. Rejects with `code` 403 or 404 as the API server answers. */
export type ReadSecret = (namespace: string, name: string) => Promise<Readonly<Record<string, string>>>;

export interface SecretState {
  /** undefined: not read yet, or in vain. */
  readonly credentials: Credentials | undefined;
  readonly fault: string | undefined;
}

interface Kept {
  state: SecretState;
  /** A digest of what was read: a Secret may hold much that no source needs. */
  hash: string;
  readAfterMs: number;
  /** After the next failure. */
  pauseMs: number;
}

const READ_AGAIN_MS = 300_000;
/** After a failure, then twice that, up to {@link READ_AGAIN_MS}. */
const FIRST_PAUSE_MS = 15_000;
const READ_TURNS = { inAll: 4, ofNamespace: 1, ofFunction: 1, inLine: 100 } as const;
/** All that a source needs together; a CA file of a company may hold many certificates. */
const MAX_CREDENTIALS_BYTES = 64 * 1024;

const NONE: SecretState = { credentials: Object.freeze({}), fault: undefined };
const UNREAD: SecretState = { credentials: undefined, fault: undefined };

/** Keys of the Secret, and what they are. */
const KEYS: Readonly<Record<string, keyof Credentials>> = {
  token: 'token',
  username: 'username',
  password: 'password',
  'ca.crt': 'ca',
  'tls.crt': 'cert',
  'tls.key': 'key',
};

export class SourceSecrets {
  readonly #read: ReadSecret;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();
  readonly #turns = new SourceTurns(READ_TURNS);

  constructor(read: ReadSecret, now: () => number) {
    this.#read = read;
    this.#now = now;
  }

  /** What is known now. It is read when it is asked for, and nobody waits for it. */
  of(namespace: string, name: string | undefined): SecretState {
    if (name === undefined) return NONE;
    const key = `${namespace}/${name}`;
    const kept = this.#kept.get(key) ?? newKept();
    this.#kept.set(key, kept);
    if (this.#now() >= kept.readAfterMs) {
      kept.readAfterMs = Infinity;
      void this.#inTurn(kept, namespace, name);
    }
    return kept.state;
  }

  /** Forgets all others. */
  keep(used: readonly (readonly [namespace: string, name: string | undefined])[]): void {
    const keys = new Set(used.map(([namespace, name]) => `${namespace}/${name}`));
    for (const key of this.#kept.keys()) if (!keys.has(key)) this.#kept.delete(key);
  }

  async #inTurn(kept: Kept, namespace: string, name: string): Promise<void> {
    const end = await this.#turns.take({ namespace, name: '' });
    // A full line: it is tried again with the next tick.
    if (!end) return void (kept.readAfterMs = -Infinity);
    try {
      if (this.#kept.get(`${namespace}/${name}`) === kept) await this.#renew(kept, namespace, name);
    } finally {
      end();
    }
  }

  async #renew(kept: Kept, namespace: string, name: string): Promise<void> {
    try {
      const values = credentialValues(await this.#read(namespace, name));
      const hash = createHash('sha256').update(JSON.stringify(values)).digest('base64');
      if (hash !== kept.hash || !kept.state.credentials) kept.state = stateOf(name, values);
      kept.hash = hash;
      kept.pauseMs = FIRST_PAUSE_MS;
      kept.readAfterMs = this.#now() + READ_AGAIN_MS;
    } catch (error) {
      // What was read once is used on: the API server may be away for a while.
      if (!kept.state.credentials || isRefusal(error))
        kept.state = { credentials: undefined, fault: why(name, error) };
      kept.readAfterMs = this.#now() + kept.pauseMs;
      kept.pauseMs = Math.min(READ_AGAIN_MS, kept.pauseMs * 2);
    }
  }
}

function newKept(): Kept {
  return { state: UNREAD, hash: '', readAfterMs: -Infinity, pauseMs: FIRST_PAUSE_MS };
}

type Values = readonly (readonly [key: string, value: string])[];

/** In the order of {@link KEYS}. */
function credentialValues(secret: Readonly<Record<string, string>>): Values {
  return Object.keys(KEYS).flatMap((key) => (secret[key] === undefined ? [] : [[key, secret[key]] as const]));
}

function stateOf(name: string, values: Values): SecretState {
  if (values.length === 0)
    return { credentials: undefined, fault: `Secret ${name} has none of ${Object.keys(KEYS).join(', ')}` };
  const bytes = values.reduce((sum, [, value]) => sum + Buffer.byteLength(value), 0);
  if (bytes > MAX_CREDENTIALS_BYTES) {
    const keys = values.map(([key]) => key).join(', ');
    const fault = `Secret ${name}: ${keys} have ${bytes} bytes, and at most ${MAX_CREDENTIALS_BYTES} are allowed`;
    return { credentials: undefined, fault };
  }
  // A file that was made in an editor ends with a line break, which no token has.
  const credentials = Object.fromEntries(
    values.map(([key, value]) => [KEYS[key], trimmed(KEYS[key] as keyof Credentials, value)]),
  );
  return { credentials: Object.freeze(credentials), fault: undefined };
}

function trimmed(part: keyof Credentials, value: string): string {
  return part === 'ca' || part === 'cert' || part === 'key' ? value : value.trim();
}

function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 403 || code === 404;
}

function why(name: string, error: unknown): string {
  const { code } = error as { code?: unknown };
  if (code === 404) return `there is no Secret ${name} in its namespace`;
  if (code === 403)
    return `the scaler may not read Secret ${name}: a Role must name it (docs/reference/sources.md)`;
  return `Secret ${name} cannot be read: ${typeof code === 'number' ? `status ${code}` : describeError(error)}`;
}
