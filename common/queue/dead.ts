/**
 * A dead letter: the job's payload untouched, and why it died in one NATS header (base64 JSON, because header
 * values are single lines of ASCII).
 */
import { MessageError } from '../runtime/errors.ts';
import { natsHeaders } from '../bus/nats-library.ts';
import { tryOf, type Try } from './state.ts';
import type { StoredMsg } from './jetstream/library.ts';

const HISTORY_HEADER = 'Slimfaas-History';

export interface DeadHistory {
  /** Of the job on SLIMFAAS_JOBS: with the secret it makes the element id. */
  readonly sequence: number;
  readonly tries: readonly Try[];
  readonly why: string;
}

export function deadHeaders(history: DeadHistory): ReturnType<typeof natsHeaders> {
  const headers = natsHeaders();
  headers.set(HISTORY_HEADER, Buffer.from(JSON.stringify(history)).toString('base64'));
  return headers;
}

/** @throws MessageError */
export function readDeadHistory(message: StoredMsg): DeadHistory {
  let value: Partial<DeadHistory> | null;
  try {
    value = JSON.parse(Buffer.from(message.header.get(HISTORY_HEADER), 'base64').toString()) as typeof value;
  } catch (cause) {
    throw new MessageError('dead letter without a history', { cause });
  }
  const { sequence, tries, why } = value ?? {};
  if (typeof sequence !== 'number' || !Array.isArray(tries) || typeof why !== 'string')
    throw new MessageError('dead letter whose history lacks sequence, tries or why');
  return { sequence, tries: tries.map(tryOf), why };
}
