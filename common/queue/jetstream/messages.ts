/** What is stored, as messages for their streams. */
import type { AckedMessage } from './acked-publisher.ts';
import { eventSubject, functionSubject, resultSubject, type FunctionId } from '../../bus/subjects.ts';
import { natsHeaders } from '../../bus/nats-library.ts';
import type { Entry } from '../queue.ts';
import { deadHeaders } from './dead-letter.ts';
import { VOID_HEADER } from './streams.ts';

export function messageOf(entry: Entry): AckedMessage {
  const { id, payload } = entry;
  switch (entry.kind) {
    case 'job':
      return { subject: functionSubject('job', id), payload, messageId: entry.messageId };
    case 'event':
      return { subject: eventSubject(id, entry.event), payload, messageId: entry.messageId };
    case 'record':
      return { subject: resultSubject(id, entry.sequence), payload };
    case 'callback':
      return { subject: functionSubject('callback', id), payload, messageId: entry.messageId };
    case 'dead-letter':
      return {
        subject: functionSubject('dead', id),
        payload,
        headers: deadHeaders(entry.history),
        messageId: entry.messageId,
      };
  }
}

/** The same message id and nothing to run. */
export function voidOf(id: FunctionId, messageId: string): AckedMessage {
  const headers = natsHeaders();
  headers.set(VOID_HEADER, '1');
  return { subject: functionSubject('job', id), payload: NOTHING, messageId, headers };
}

const NOTHING = new Uint8Array(0);
