/**
 * A resource kept in memory: list, then watch, restarted for ever with backoff. What the library's informer
 * does not do is done here: it stops for good after an error, and its `list()` copies, so callers keep their
 * own index from the events.
 */
import {
  makeInformer,
  type KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
} from '@kubernetes/client-node';
import { createBackoff } from '../backoff.ts';
import { describeError } from '../errors.ts';
import type { Running } from '../lifecycle.ts';
import type { Log } from '../log.ts';

export interface WatchHandlers<T> {
  /** Added or changed; also called for each object of a new list. */
  onSet(object: T): void;
  onDelete(object: T): void;
  /** True after a list succeeded, false when the watch broke and is not back yet. */
  onSynced?(isSynced: boolean): void;
}

export interface WatchOptions {
  /** As the API writes it: `/apis/apps/v1/deployments`, `/api/v1/namespaces/x/pods`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly log: Log;
}

export interface Watched extends Running {
  readonly isSynced: boolean;
}

/**
 * @param list fetches the whole list at `options.path`
 */
export function watchResource<T extends KubernetesObject>(
  config: KubeConfig,
  list: () => Promise<KubernetesListObject<T>>,
  handlers: WatchHandlers<T>,
  options: WatchOptions,
): Watched {
  const informer = makeInformer<T>(config, options.path, list, options.labelSelector);
  const backoff = createBackoff({ minMs: 100, maxMs: 5_000 });
  let isStopped = false;
  let isSynced = false;
  let timer: NodeJS.Timeout | undefined;

  const setSynced = (value: boolean) => {
    if (value) backoff.reset();
    if (isSynced === value) return;
    isSynced = value;
    handlers.onSynced?.(value);
  };
  const restart = (error: unknown) => {
    if (isStopped || timer) return;
    setSynced(false);
    const delayMs = backoff.next();
    options.log.warn({ path: options.path, error: describeError(error), delayMs }, 'watch broke; restarting');
    timer = setTimeout(start, delayMs);
  };
  const start = () => {
    timer = undefined;
    informer.start().then(() => setSynced(true), restart);
  };

  informer.on('add', (object) => handlers.onSet(object));
  informer.on('update', (object) => handlers.onSet(object));
  informer.on('delete', (object) => handlers.onDelete(object));
  informer.on('error', restart);
  start();
  return {
    get isSynced() {
      return isSynced;
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await informer.stop();
    },
  };
}
