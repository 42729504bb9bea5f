/**
 * The headers that proxy and sidecar say to each other. They must come from us alone: an app that answered
 * `slimfaas-refused` would have its own call sent again elsewhere, although it ran.
 */
import { HEADER } from '../../common/function/names.ts';
import { HeaderNames, withoutHeaders, type RawHeaders } from '../../common/relay/index.ts';

const NOT_FOR_THE_APP = new HeaderNames([HEADER.queue, HEADER.for, HEADER.place, HEADER.proof]);
const NOT_FROM_THE_APP = new HeaderNames([HEADER.load, HEADER.refused, HEADER.trouble]);

/** What a proxy said with its call. */
export interface ProxysWords {
  /** Refuse rather than queue: it has a queue of its own. */
  readonly wantsRefusal: boolean;
  /** `namespace/pod`; undefined from a direct caller and from a proxy of the version before. */
  readonly meant: string | undefined;
  /** The id of a granted place. */
  readonly place: string | undefined;
  /** That a proxy has opened the connection; with its first call. */
  readonly proof: string | undefined;
}

const QUEUE_LENGTH = HEADER.queue.length;
const FOR_LENGTH = HEADER.for.length;

/** One pass for every call: two lengths tell nearly all names apart. */
export function readProxysWords(rawHeaders: RawHeaders): ProxysWords {
  let queue: string | undefined;
  let meant: string | undefined;
  let place: string | undefined;
  let proof: string | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if ((name.length !== QUEUE_LENGTH && name.length !== FOR_LENGTH) || (name.charCodeAt(0) | 0x20) !== S)
      continue;
    const lower = name.toLowerCase();
    if (lower === HEADER.queue) queue ??= rawHeaders[i + 1];
    else if (lower === HEADER.for) meant ??= rawHeaders[i + 1];
    else if (lower === HEADER.place) place ??= rawHeaders[i + 1];
    else if (lower === HEADER.proof) proof ??= rawHeaders[i + 1];
  }
  return { wantsRefusal: queue === 'none', meant, place, proof };
}

const S = 0x73;

export function forTheApp(headers: RawHeaders): RawHeaders {
  return withoutHeaders(headers, NOT_FOR_THE_APP);
}

/** The app's headers less what is ours, and the load. */
export function fromTheApp(headers: RawHeaders, load: string): RawHeaders {
  return [...withoutHeaders(headers, NOT_FROM_THE_APP), HEADER.load, load];
}
