/** A dead letter on its stream: the job's payload untouched, and its history in one header. */
import { MessageError } from '../../runtime/errors.ts';
import { parseFunctionSubject } from '../../bus/subjects.ts';
import { natsHeaders } from '../../bus/nats-library.ts';
import { decodeHistory, encodeHistory, type DeadHistory } from '../dead.ts';
import type { DeadLetter } from '../queue.ts';
import type { StoredMsg } from './library.ts';

const HISTORY_HEADER = 'Slimfaas-History';

export function deadHeaders(history: DeadHistory): ReturnType<typeof natsHeaders> {
  const headers = natsHeaders();
  headers.set(HISTORY_HEADER, encodeHistory(history));
  return headers;
}

/** @throws MessageError */
export function readDeadHistory({ header }: Pick<StoredMsg, 'header'>): DeadHistory {
  return decodeHistory(header.get(HISTORY_HEADER));
}

/** @throws MessageError where the subject is no dead letter's */
export function deadLetterOf(message: StoredMsg): DeadLetter {
  const parsed = parseFunctionSubject(message.subject);
  if (!parsed) throw new MessageError(`${message.subject} is not the subject of a dead letter`);
  const { seq, data, time } = message;
  return { seq, id: parsed.id, data, diedAtMs: time.getTime(), history: historyOf(message) };
}

function historyOf(message: StoredMsg): DeadHistory | undefined {
  try {
    return readDeadHistory(message);
  } catch {
    return undefined;
  }
}
