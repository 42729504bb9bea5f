/** What is mounted of a NATS that is not ours, as it is in force: looked at again and again. */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { ExternalNats } from './external-nats.ts';

interface FollowOptions {
  readonly log: Log;
  /** Told at each look whether what is mounted can be used. */
  readonly onExternal?: (isUsable: boolean) => void;
}

/** The last that could be used stays in force: a Secret that was written half must not take NATS away from all. */
export class FollowedNats {
  readonly #read: () => Promise<ExternalNats>;
  readonly #options: FollowOptions;
  #nats: ExternalNats | undefined;
  #fault = 'nothing was read yet';

  constructor(read: () => Promise<ExternalNats>, options: FollowOptions) {
    this.#read = read;
    this.#options = options;
  }

  /** @throws Error while there is none that can be used */
  get current(): ExternalNats {
    if (!this.#nats) throw new Error(`what is mounted for NATS cannot be used: ${this.#fault}`);
    return this.#nats;
  }

  async look(): Promise<void> {
    const { log, onExternal } = this.#options;
    try {
      const next = await this.#read();
      if (JSON.stringify(next) !== JSON.stringify(this.#nats)) {
        log.info({ kind: next.kind }, 'what is mounted for NATS is in force');
        warnOfSharing(next, log);
      }
      this.#nats = next;
      onExternal?.(true);
    } catch (error) {
      this.#fault = describeError(error);
      log.warn(
        { error: this.#fault, hasOlder: this.#nats !== undefined },
        'what is mounted for NATS cannot be used',
      );
      onExternal?.(false);
    }
  }
}

function warnOfSharing(nats: ExternalNats, log: Log): void {
  if (nats.kind === 'credentials')
    log.warn('functions share one user on NATS: each sidecar can read and write the jobs of all');
  else if (!nats.functions)
    log.warn(
      'functions share the account of the proxies on NATS: by reply subjects one can reach the jobs of others',
    );
}
