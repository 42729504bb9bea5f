/** Hears what sidecars ask and want. Which pod it is, is said by the subject and by nothing in the message. */
import { decodeAsk, encodeAskAnswer, type Ask, type AskAnswer, type Asker } from '../../common/bus/asks.ts';
import { orDrop, type HearingOptions } from '../../common/bus/hearing.ts';
import type { Answer, NatsLink } from '../../common/bus/nats.ts';
import { POD_READY_SUBJECT } from '../../common/bus/pod-ready.ts';
import { everyPod, parseAskSubject } from '../../common/bus/subjects.ts';
import { answerPodReady, answerSharedPodReady } from './pod-ready.ts';
import type { WorldView } from './world.ts';

type Maybe<T> = T | undefined;

/** Undefined: it is for another scaler to answer. */
export interface EventWishes {
  open(asker: Asker, sinceMs: number): Promise<Maybe<AskAnswer>>;
  handOver(asker: Asker, sinceMs: number): Maybe<AskAnswer>;
}

export interface AskOptions extends Pick<HearingOptions, 'onDropped' | 'log'> {
  readonly nats: Pick<NatsLink, 'serve'>;
  readonly world: Pick<WorldView, 'workload' | 'podsOf'>;
  readonly eventReaders: EventWishes;
  /** Sidecars without credentials may be there, of the version before: they ask on a subject that all share. */
  readonly hearsOlder: boolean;
}

/** @returns its ends */
export function serveAsks(options: AskOptions): (() => void)[] {
  const { nats, world, hearsOlder, log } = options;
  const answer: Answer = (data, subject) => {
    const asker = parseAskSubject(subject);
    if (!asker) return undefined;
    return orDrop(options, { kind: 'ask', subject }, () => answerTo(decodeAsk(data), asker, options));
  };
  const own = nats.serve(everyPod('ask'), answer);
  if (!hearsOlder) return [own];
  return [own, nats.serve(POD_READY_SUBJECT, (data) => answerSharedPodReady(world, data, log))];
}

function answerTo(ask: Ask, asker: Asker, { world, eventReaders }: AskOptions): ReturnType<Answer> {
  switch (ask.ask) {
    case 'pod-ready':
      return answerPodReady(world, asker);
    case 'read-events':
      return eventReaders.open(asker, ask.sinceMs).then(encoded);
    case 'hand-over-events':
      return encoded(eventReaders.handOver(asker, ask.sinceMs));
  }
}

function encoded(answer: Maybe<AskAnswer>): Maybe<Uint8Array> {
  return answer && encodeAskAnswer(answer);
}
