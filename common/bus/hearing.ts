/**
 * Hears what pods and proxies say of functions. A message that is not what the contract says is dropped, counted and
 * logged; so is one of a pod that speaks as another. Who speaks is known by the subject, where the subject names it.
 */
import { describeError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { NatsLink } from './nats.ts';
import { SERVICE_PORTS_SUBJECT } from './service-ports.ts';
import {
  everyFunction,
  everyPod,
  parseFunctionSubject,
  parseSpeaker,
  type FunctionId,
  type FunctionSubjectKind,
  type PodSubjectKind,
} from './subjects.ts';

export interface Hearing {
  /** @param handle may throw: the message is dropped. Returns its release. */
  function(kind: FunctionSubjectKind, handle: (id: FunctionId, data: Uint8Array) => void): () => void;
  /**
   * What pods say, and what proxies and sidecars of older versions say where the subject names no pod.
   * @param handle gets the pod of the subject, against which it checks the message (checkSpeaker)
   */
  speakers(kind: PodSubjectKind, handle: SpeakerHandler): () => void;
  /** On which ports proxies listen for Services. */
  servicePorts(handle: (data: Uint8Array) => void): () => void;
}

export type SpeakerHandler = (id: FunctionId, data: Uint8Array, pod: string | undefined) => void;

/** What is shown of a dropped message. */
type MessageKind = FunctionSubjectKind | 'ask' | 'service-ports';

export interface HearingOptions {
  readonly nats: Pick<NatsLink, 'subscribe'>;
  /** A message was dropped. */
  readonly onDropped: (kind: MessageKind) => void;
  readonly log: Log;
}

/** Runs `handle`. Where it throws, the message is dropped. @returns undefined then, else what `handle` returns */
export function orDrop<T>(
  { onDropped, log }: Pick<HearingOptions, 'onDropped' | 'log'>,
  { kind, subject }: { readonly kind: MessageKind; readonly subject: string },
  handle: () => T,
): T | undefined {
  try {
    return handle();
  } catch (error) {
    onDropped(kind);
    log.warn({ subject, error: describeError(error) }, 'a message was not understood, and dropped');
    return undefined;
  }
}

export function createHearing(options: HearingOptions): Hearing {
  const { nats } = options;
  const guarded = (kind: MessageKind, subject: string, handle: () => void): void =>
    orDrop(options, { kind, subject }, handle);
  return {
    function: (kind, handle) =>
      nats.subscribe(everyFunction(kind), (subject, data) => {
        const parsed = parseFunctionSubject(subject);
        if (parsed) guarded(kind, subject, () => handle(parsed.id, data));
      }),
    speakers(kind, handle) {
      const hear = (subject: string, data: Uint8Array): void => {
        const speaker = parseSpeaker(subject);
        if (speaker) guarded(kind, subject, () => handle(speaker.id, data, speaker.pod));
      };
      const releases = [everyPod(kind), everyFunction(kind)].map((subject) => nats.subscribe(subject, hear));
      return () => {
        for (const release of releases) release();
      };
    },
    servicePorts: (handle) =>
      nats.subscribe(SERVICE_PORTS_SUBJECT, (subject, data) =>
        guarded('service-ports', subject, () => handle(data)),
      ),
  };
}
