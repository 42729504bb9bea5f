/**
 * Opens the pod for calls once the app has passed its probe: at the start, after a restart of the app's container, and
 * after a drain that was taken back. Whoever has to know is told then: the announcer, jobs, events.
 */
import type { Log } from '../../common/runtime/log.ts';
import { startAppProbe, type AppReady } from '../app/app-probe.ts';
import type { AppTrouble } from '../app/app-trouble.ts';
import type { AppReadiness } from '../app/readiness.ts';
import type { Admission } from '../limits/admission.ts';

export interface OpeningOptions {
  readonly readiness: AppReadiness;
  /** Where the app listens. */
  readonly host: string;
  readonly admission: Pick<Admission, 'open'>;
  readonly trouble: Pick<AppTrouble, 'failed' | 'passed'>;
  /** The limit of this pod counts from now on. */
  readonly limitChanged: () => void;
  readonly log: Log;
}

export interface Opened {
  readonly how: Exclude<AppReady, 'stopped'>;
  /** A drain was taken back, which this pod alone knows of. */
  readonly hasDrained: boolean;
}

export class Opening {
  readonly #options: OpeningOptions;
  readonly #followers: ((opened: Opened) => void)[] = [];
  readonly #stopping = new AbortController();

  constructor(options: OpeningOptions) {
    this.#options = options;
  }

  /** Called each time that the pod is open, in the order of following. */
  onOpen(follower: (opened: Opened) => void): void {
    this.#followers.push(follower);
  }

  /** Aborted when the sidecar stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Resolves when the app has passed and all followers were told, or when the sidecar stops. */
  async open({ hasDrained = false } = {}): Promise<void> {
    const { readiness, host, admission, trouble, limitChanged, log } = this.#options;
    const how = await startAppProbe(readiness, host, this.stopping, (why) => trouble.failed(why));
    if (how === 'stopped') return;
    trouble.passed();
    log.info({ how, sinceStartMs: Math.round(performance.now()) }, 'app ready');
    admission.open();
    limitChanged();
    for (const follower of this.#followers) follower({ how, hasDrained });
  }

  stop(): void {
    this.#stopping.abort();
  }
}
