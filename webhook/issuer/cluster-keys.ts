/** The cluster's keys for tokens of service accounts, read from its API server and kept. */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { PublishedKeys, TokenKeys } from './verify-token.ts';

/** A key that was taken away is believed no longer than this, as long as the API server answers. */
const KEEP_MS = 600_000;
/** Anybody can send a token with a key that nobody knows: that asks the API server so often at most. */
const COOL_DOWN_MS = 5_000;
/** Before the first ones are read no token is good, so it is tried sooner. */
const FIRST_COOL_DOWN_MS = 500;

export interface ClusterKeysOptions {
  readonly read: () => Promise<PublishedKeys>;
  readonly now: () => number;
  readonly log: Log;
}

export function clusterKeys({ read, now, log }: ClusterKeysOptions): TokenKeys {
  let known: PublishedKeys | undefined;
  let readAtMs = -Infinity;
  let triedAtMs = -Infinity;
  let reading: Promise<PublishedKeys> | undefined;
  const readOnce = (): Promise<PublishedKeys> => {
    triedAtMs = now();
    reading ??= read()
      .then((keys) => {
        readAtMs = now();
        return (known = keys);
      })
      .finally(() => (reading = undefined));
    return reading;
  };
  return {
    async current() {
      if (!known) {
        if (!reading && now() - triedAtMs < FIRST_COOL_DOWN_MS)
          throw new Error('the keys of the cluster could not be read a moment ago');
        return readOnce();
      }
      if (now() - readAtMs > KEEP_MS && now() - triedAtMs > COOL_DOWN_MS)
        void readOnce().catch((error: unknown) =>
          log.warn(
            { error: describeError(error) },
            'keys of the cluster cannot be read; going on with known ones',
          ),
        );
      return known;
    },
    async refresh() {
      if (reading) return reading;
      return now() - triedAtMs > COOL_DOWN_MS ? readOnce() : undefined;
    },
  };
}
