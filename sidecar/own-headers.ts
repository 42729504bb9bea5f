/**
 * The headers that proxy and sidecar say to each other. They must come from us alone: an app that answered
 * `slimfaas-refused` would have its own call sent again elsewhere, although it ran.
 */
import { HEADER } from '../common/names.ts';
import { HeaderNames, headerValue, withoutHeaders, type RawHeaders } from '../common/relay/index.ts';

const NOT_FOR_THE_APP = new HeaderNames([HEADER.queue]);
const NOT_FROM_THE_APP = new HeaderNames([HEADER.load, HEADER.refused]);

/** Sent by a proxy: refuse rather than queue. */
export function wantsRefusal(rawHeaders: RawHeaders): boolean {
  return headerValue(rawHeaders, HEADER.queue) === 'none';
}

export function forTheApp(headers: RawHeaders): RawHeaders {
  return withoutHeaders(headers, NOT_FOR_THE_APP);
}

/** The app's headers less what is ours, and the load. */
export function fromTheApp(headers: RawHeaders, load: string): RawHeaders {
  return [...withoutHeaders(headers, NOT_FROM_THE_APP), HEADER.load, load];
}
