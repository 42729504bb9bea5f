/** What the queue is told of a job's end: its record, its dead letter, and its result for the URL it was given. */
import { createHash } from 'node:crypto';
import type { FunctionId } from '../../../common/bus/subjects.ts';
import type { DeadHistory } from '../../../common/queue/dead.ts';
import type {
  CallbackEntry,
  DeadLetterEntry,
  Delivery,
  EndEntry,
  Queue,
  RecordEntry,
  StoreOutcome,
} from '../../../common/queue/queue.ts';
import { encodeCallback, type EndedState } from '../../../common/queue/callback.ts';
import { elementId, type JobHead } from '../../../common/queue/job.ts';
import { encodeState, type JobState } from '../../../common/queue/state.ts';
import type { RecordPart } from './job-stats.ts';

type StateOf<S extends JobState['state']> = JobState & { readonly state: S };

export type EndedJob =
  | { readonly kind: 'done'; readonly head: JobHead; readonly state: StateOf<'done'> }
  | { readonly kind: 'dead'; readonly head: JobHead; readonly state: StateOf<'dead'> }
  | { readonly kind: 'retry'; readonly head: JobHead; readonly state: StateOf<'retrying'> }
  /** A payload that nobody can read: kept as it is, for a person to look at. Its id is not known, so it has no state. */
  | { readonly kind: 'unread'; readonly head?: undefined; readonly why: string };

/** In the order in which they must be stored: where there is a record, the letter must be there too. */
export function messagesOf(id: FunctionId, delivery: Delivery, ended: EndedJob): [RecordPart, EndEntry][] {
  const { seq } = delivery;
  if (ended.kind === 'unread')
    return [['dead-letter', letterOf(id, delivery, { sequence: seq, tries: [], why: ended.why })]];
  const record: [RecordPart, EndEntry] = ['record', recordOf(id, delivery, ended.state)];
  if (ended.kind === 'retry') return [record];
  const messages = [record];
  if (ended.kind === 'dead') {
    const { tries, why } = ended.state;
    messages.unshift(['dead-letter', letterOf(id, delivery, { sequence: seq, tries, why }, ended.head)]);
  }
  const callback = callbackOf(id, delivery, ended.head, ended.state);
  if (callback) messages.push(['callback', callback]);
  return messages;
}

/** Stores one of them. */
export function storeEnd(queue: Queue, entry: EndEntry, timeoutMs: number): Promise<StoreOutcome> {
  switch (entry.kind) {
    case 'record':
      return queue.record(entry, timeoutMs);
    case 'dead-letter':
      return queue.bury(entry, timeoutMs);
    case 'callback':
      return queue.offerResult(entry, timeoutMs);
  }
}

/** For want of room: the record that is still to be stored goes without the function's answer. */
export function withoutResult(
  id: FunctionId,
  delivery: Delivery,
  ended: EndedJob,
  left: Map<RecordPart, EndEntry>,
): void {
  if (ended.kind !== 'done' || !ended.state.result || !left.has('record')) return;
  const result = { ...ended.state.result, body: '', bodyTruncated: true };
  left.set('record', recordOf(id, delivery, { ...ended.state, result }));
}

export function recordOf(id: FunctionId, { seq }: Delivery, state: JobState): RecordEntry {
  return { kind: 'record', id, sequence: seq, payload: encodeState(state) };
}

/** Undefined: nobody asked for it. */
export function callbackOf(
  id: FunctionId,
  { seq }: Delivery,
  { callbackUrl: url, secret }: JobHead,
  state: EndedState,
): CallbackEntry | undefined {
  if (url === undefined) return undefined;
  const element = elementId(secret, seq);
  const payload = encodeCallback({ url, elementId: element, endedAtMs: Date.now(), state });
  return { kind: 'callback', id, payload, messageId: `callback-${element}` };
}

/** The request as it is, with its history; a large body stays for the replay. */
function letterOf(id: FunctionId, delivery: Delivery, history: DeadHistory, head?: JobHead): DeadLetterEntry {
  const { seq, data } = delivery;
  return {
    kind: 'dead-letter',
    id,
    payload: data,
    history,
    // Buried again after a crash it is one letter still. Not by the sequence alone: a stream that was made again counts from 1.
    messageId: `dead-${head ? elementId(head.secret, seq) : `unread-${fingerprint(delivery)}`}`,
  };
}

/**
 * Names an unread job, and no other function can guess it. JetStream drops a letter whose message id it has seen on the
 * stream, whoever sent that one.
 */
function fingerprint({ seq, storedAtMs, data }: Delivery): string {
  return createHash('sha256').update(`${seq} ${storedAtMs}\n`).update(data).digest('hex');
}
