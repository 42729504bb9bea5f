/**
 * Credentials of sources, from Secrets of the functions' own namespaces. The scaler has no right to any of them: who
 * owns the namespace gives it the right to read that one by name (docs/decisions/sources.md). Read again now and then, so
 * that new credentials count without a restart.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { FewAtOnce } from '../../common/runtime/few-at-once.ts';
import type { Credentials } from './source-rules.ts';

/** @returns values by key. Rejects with `code` 403 or 404 as the API server answers. */
export type ReadSecret = (namespace: string, name: string) => Promise<Readonly<Record<string, string>>>;

export interface SecretState {
  /** undefined: not read yet, or in vain. */
  readonly credentials: Credentials | undefined;
  readonly fault: string | undefined;
}

interface Kept {
  state: SecretState;
  /** What was read, as text. */
  text: string;
  readAfterMs: number;
}

const READ_AGAIN_MS = 300_000;
const TRY_AGAIN_MS = 15_000;
const READS_AT_ONCE = 4;
/** A CA file of a company may hold many certificates. */
const MAX_VALUE = 262_144;

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
  readonly #few = new FewAtOnce({ atOnce: READS_AT_ONCE });

  constructor(read: ReadSecret, now: () => number) {
    this.#read = read;
    this.#now = now;
  }

  /** What is known now. It is read when it is asked for, and nobody waits for it. */
  of(namespace: string, name: string | undefined): SecretState {
    if (name === undefined) return NONE;
    const key = `${namespace}/${name}`;
    const kept = this.#kept.get(key) ?? { state: UNREAD, text: '', readAfterMs: -Infinity };
    this.#kept.set(key, kept);
    if (this.#now() >= kept.readAfterMs) {
      kept.readAfterMs = Infinity;
      void this.#few.run(() => this.#renew(kept, namespace, name));
    }
    return kept.state;
  }

  /** Forgets all others. */
  keep(used: readonly (readonly [namespace: string, name: string | undefined])[]): void {
    const keys = new Set(used.map(([namespace, name]) => `${namespace}/${name}`));
    for (const key of this.#kept.keys()) if (!keys.has(key)) this.#kept.delete(key);
  }

  async #renew(kept: Kept, namespace: string, name: string): Promise<void> {
    try {
      const values = await this.#read(namespace, name);
      const text = JSON.stringify(values);
      if (text !== kept.text || !kept.state.credentials) kept.state = stateOf(name, values);
      kept.text = text;
      kept.readAfterMs = this.#now() + READ_AGAIN_MS;
    } catch (error) {
      // What was read once is used on: the API server may be away for a while.
      if (!kept.state.credentials || isRefusal(error))
        kept.state = { credentials: undefined, fault: why(name, error) };
      kept.readAfterMs = this.#now() + TRY_AGAIN_MS;
    }
  }
}

function stateOf(name: string, values: Readonly<Record<string, string>>): SecretState {
  const found = Object.entries(KEYS).filter(([key]) => values[key] !== undefined);
  if (found.length === 0)
    return { credentials: undefined, fault: `Secret ${name} has none of ${Object.keys(KEYS).join(', ')}` };
  const isLong = found.find(([key]) => (values[key] ?? '').length > MAX_VALUE);
  if (isLong)
    return { credentials: undefined, fault: `Secret ${name}: ${isLong[0]} is above ${MAX_VALUE} characters` };
  // A file that was made in an editor ends with a line break, which no token has.
  const credentials = Object.fromEntries(
    found.map(([key, part]) => [part, trimmed(part, values[key] ?? '')]),
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
