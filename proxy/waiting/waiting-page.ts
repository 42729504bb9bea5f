/**
 * `slimfaas.dev/waiting-page`: a person who opens a page of a function that is still at zero sees that it starts. Only a
 * navigation of a browser gets it, and only after some seconds. Its connection is answered, so the page asks again by
 * itself: each time the call waits as any call does, and the app's own answer takes the page's place.
 *
 * No script, nothing from elsewhere. It names the function that starts, and no pod.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import { headerValue, type RequestHead } from '../../common/relay/index.ts';
import type { FunctionView } from '../functions/function-view.ts';
import type { Clock } from '../clock.ts';

/** What is asked of a {@link FunctionEntry}. */
interface WaitedFor {
  readonly view: FunctionView;
  readonly pods: { readonly isUsable: boolean; readonly size: number };
}

export interface WaitingPagesOptions {
  readonly clock: Clock;
  /** For functions without the annotation; 0: no page. */
  readonly defaultSeconds: number;
  /** HTML with `{{function}}` and `{{progress}}`. */
  readonly template: string;
}

/** Between two questions of the page; the call itself waits as well. */
const RELOAD_SECONDS = 1;
const HEADERS = [
  'Cache-Control',
  'no-store',
  'Content-Security-Policy',
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
];

export class WaitingPages {
  readonly #options: WaitingPagesOptions;

  constructor(options: WaitingPagesOptions) {
    this.#options = options;
  }

  /**
   * To be called when a call begins to wait.
   * @param giveUp answers it, if it still waits
   * @returns cancels; undefined: it waits without a page
   */
  watch(entry: WaitedFor, head: RequestHead, giveUp: (error: ReasonError) => void): (() => void) | undefined {
    const { clock, defaultSeconds } = this.#options;
    const seconds = entry.view.spec.waitingPageSeconds ?? defaultSeconds;
    if (seconds === 0 || !isNavigation(head)) return undefined;
    return clock.after(seconds * 1000, () => {
      // Pods that are up and full are another wait: its callers keep their turn.
      if (!entry.pods.isUsable) giveUp(this.#page(entry));
    });
  }

  #page({ view, pods }: WaitedFor): ReasonError {
    const progress =
      pods.size === 0 ? 'A first pod is being made.' : 'Its pod is there and starts. It takes no calls yet.';
    const values = { function: view.id.name, progress };
    return new ReasonError('starting', `${view.id.name} is starting: ${progress}`, {
      retryAfterSeconds: RELOAD_SECONDS,
      headers: HEADERS,
      answer: { contentType: 'text/html; charset=utf-8', body: fill(this.#options.template, values) },
    });
  }
}

/** A person in a browser who opens a page: no script, no image, no frame. */
function isNavigation({ method, headers }: RequestHead): boolean {
  if (method !== 'GET' || !/\btext\/html\b/i.test(headerValue(headers, 'accept') ?? '')) return false;
  const mode = headerValue(headers, 'sec-fetch-mode');
  const target = headerValue(headers, 'sec-fetch-dest');
  return (mode ?? 'navigate') === 'navigate' && (target ?? 'document') === 'document';
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{\{(\w+)\}\}/g, (whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    return value === undefined ? whole : escapeHtml(value);
  });
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
