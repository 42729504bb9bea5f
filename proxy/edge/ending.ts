/**
 * How the proxy goes without anybody noticing. For the lame-duck time it goes on serving: `/ready` is 503, and every
 * answer asks its client to connect again. The reason is that load balancers learn of an ending pod after it has
 * begun to end. Then it takes no new connection and answers what it holds, for as long as it may.
 *
 * While no other proxy is ready that time is longer. Kubernetes sends calls to an ending pod that answers its probe
 * as long as there is no other. So it goes on answering both until another is ready and balancers have had their
 * time.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { ActiveCalls } from './active-calls.ts';
import type { EdgeListener } from './listener.ts';
import type { OpenUpgrades } from './open-upgrades.ts';

export interface EndingTimes {
  readonly lameDuckMs: number;
  /** How much longer at most while no other proxy is ready. */
  readonly aloneMs: number;
  readonly drainMs: number;
}

export interface EndingOptions extends EndingTimes {
  /** No other proxy is ready. */
  readonly isAlone: () => boolean;
  readonly log: Log;
}

/** What is to be ended. */
export interface EndedRequests {
  readonly listener: EdgeListener;
  readonly active: ActiveCalls;
  readonly upgrades: OpenUpgrades;
  readonly closeStreams: () => void;
  /** Connections that carry many calls say now that they will take no more. */
  readonly closeAfterAnswers: () => void;
  readonly refuseWaiting: (error: ReasonError) => void;
}

const ALONE_CHECK_INTERVAL_MS = 50;
/** For the answers to those who still waited. */
const LAST_WORDS_MS = 500;

/** How long an ending takes at most: that of a proxy that is alone, whose calls last until they are cut. */
export function longestEndMs({ lameDuckMs, aloneMs, drainMs }: EndingTimes, lingerMs = 0): number {
  return Math.max(lameDuckMs, lingerMs) + aloneMs + lameDuckMs + drainMs + LAST_WORDS_MS;
}

export class Ending {
  readonly #options: EndingOptions;
  #hasBegun = false;

  constructor(options: EndingOptions) {
    this.#options = options;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Others take over: from now on a probe may be told so. */
  get isOver(): boolean {
    return this.#hasBegun && !this.#options.isAlone();
  }

  async run(ended: EndedRequests): Promise<void> {
    const { listener, active, upgrades, closeStreams, closeAfterAnswers, refuseWaiting } = ended;
    const { lameDuckMs, drainMs, log } = this.#options;
    this.#hasBegun = true;
    active.closeAfterAnswers();
    closeAfterAnswers();
    await sleep(Math.max(lameDuckMs, listener.lingerMs ?? 0));
    await this.#waitForAnother();
    listener.refuse();
    closeStreams();
    upgrades.closeAll();
    log.info({ calls: active.size }, 'taking no more connections; answering what is left');
    const over = AbortSignal.timeout(drainMs);
    await Promise.race([active.idle(), sleep(drainMs, over)]);
    await listener.emptied(over);
    if (active.size > 0) log.warn({ calls: active.size }, 'calls were cut: the drain timeout has passed');
    refuseWaiting(
      new ReasonError('shutting-down', 'the proxy ends and no pod came; try again', { retryAfterSeconds: 1 }),
    );
    active.destroyAll();
    await listener.emptied(AbortSignal.timeout(LAST_WORDS_MS));
    await listener.close();
  }

  async #waitForAnother(): Promise<void> {
    const { isAlone, aloneMs, lameDuckMs, log } = this.#options;
    if (!isAlone()) return;
    log.info('no other proxy is ready; serving on');
    const deadline = performance.now() + aloneMs;
    while (isAlone() && performance.now() < deadline) await sleep(ALONE_CHECK_INTERVAL_MS);
    await sleep(lameDuckMs);
  }
}
