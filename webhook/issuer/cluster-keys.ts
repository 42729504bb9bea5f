/** The cluster's keys for tokens of service accounts, read from its API server and kept. */
import { KeptKeys } from '../../common/identity/kept-keys.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { PublishedKeys, TokenKeys } from './verify-token.ts';

const TIMES = { freshMs: 600_000, coolDownMs: 5_000, firstCoolDownMs: 500 };

export interface ClusterKeysOptions {
  readonly read: () => Promise<PublishedKeys>;
  readonly now: () => number;
  readonly log: Log;
}

export function clusterKeys({ read, now, log }: ClusterKeysOptions): TokenKeys {
  return new KeptKeys({
    read,
    now,
    ...TIMES,
    onError: (error) =>
      log.warn({ error: describeError(error) }, 'the keys of the cluster cannot be read; known ones hold'),
  });
}
