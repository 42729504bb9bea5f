/**
 * `X-Callback-Url` when a job is posted: refused there and then if its result could never be posted. A name that does
 * not resolve now may do so when the job is done, so that alone is no reason.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import type { UrlAllow } from '../../common/outbound/allow.ts';
import { checkedAddress } from '../../common/outbound/checked-address.ts';
import type { Resolve } from '../../common/outbound/resolve.ts';

export const CALLBACK_URL_HEADER = 'x-callback-url';

/** A caller waits for this. */
const RESOLVE_MS = 2_000;

export class CallbackGate {
  readonly #deps: { readonly allow: UrlAllow; readonly resolve: Resolve };

  constructor(deps: { readonly allow: UrlAllow; readonly resolve: Resolve }) {
    this.#deps = deps;
  }

  /** @throws ReasonError `bad-request` */
  async check(text: string): Promise<void> {
    const url = this.#deps.allow.url(text);
    if (typeof url === 'string') throw refused(url);
    const place = await checkedAddress(url, this.#deps, AbortSignal.timeout(RESOLVE_MS)).catch(
      () => undefined,
    );
    if (place && 'why' in place) throw refused(place.why);
  }
}

function refused(why: string): ReasonError {
  return new ReasonError('bad-request', `X-Callback-Url is refused: ${why}`);
}
