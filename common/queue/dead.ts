/** Why a job died, as it travels with its dead letter: base64 of JSON, because it must be one line of ASCII. */
import { MessageError } from '../runtime/errors.ts';
import { tryOf, type Try } from './state.ts';

export interface DeadHistory {
  /** The job's: with the secret it makes the element id. */
  readonly sequence: number;
  readonly tries: readonly Try[];
  readonly why: string;
}

export function encodeHistory(history: DeadHistory): string {
  return Buffer.from(JSON.stringify(history)).toString('base64');
}

/** @throws MessageError */
export function decodeHistory(text: string): DeadHistory {
  let value: Partial<DeadHistory> | null;
  try {
    value = JSON.parse(Buffer.from(text, 'base64').toString()) as typeof value;
  } catch (cause) {
    throw new MessageError('dead letter without a history', { cause });
  }
  const { sequence, tries, why } = value ?? {};
  if (typeof sequence !== 'number' || !Array.isArray(tries) || typeof why !== 'string')
    throw new MessageError('dead letter whose history lacks sequence, tries or why');
  return { sequence, tries: tries.map(tryOf), why };
}
