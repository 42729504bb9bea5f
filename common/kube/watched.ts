/**
 * A resource followed: list, then watch, restarted with backoff until it is stopped. What the library's informer does not do
 * is done here: it stops for good after an error, it keeps every object whole, and its `list()` copies. So callers
 * keep their own index from the events, and the informer what it needs to tell a change from a repetition.
 */
import {
  ListWatch,
  type KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
} from '@kubernetes/client-node';
import { createBackoff } from '../runtime/backoff.ts';
import { describeError } from '../runtime/errors.ts';
import type { Running } from '../runtime/lifecycle.ts';
import type { Log } from '../runtime/log.ts';
import { BookmarkWatch } from './bookmark-watch.ts';
import { inPages, keepIdentity, type PageRequest } from './lists.ts';
import { PartConfig } from './part-config.ts';

export interface WatchHandlers<T> {
  /** Added or changed; also called for each object of a new list. The object is empty afterwards: copy what is kept. */
  onSet(object: T): void;
  /** With no more than the object's identity, labels and owners. */
  onDelete(object: T): void;
  /** True after a list succeeded, false when the watch broke and is not back yet. */
  onSynced?(isSynced: boolean): void;
}

/** Takes an object that a handler threw at. It may be any tenant's, and the watch serves all of them. */
export type OnFailedObject = (path: string, object: KubernetesObject, error: unknown) => void;

export interface WatchOptions {
  /** As the API writes it: `/apis/apps/v1/deployments`, `/api/v1/namespaces/x/pods`. */
  readonly path: string;
  /** Selectors hold for the list and for the watch. */
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly log: Log;
  /** Default: a log line. */
  readonly onFailed?: OnFailedObject;
}

export interface Watched extends Running {
  readonly isSynced: boolean;
}

/** An API server that is back is noticed within that time. */
const MAX_DELAY_MS = 2_000;

/**
 * @param list fetches one page of the list at `options.path`
 */
export function watchResource<T extends KubernetesObject>(
  config: KubeConfig,
  list: (page: PageRequest) => Promise<KubernetesListObject<T>>,
  handlers: WatchHandlers<T>,
  options: WatchOptions,
): Watched {
  const { path, labelSelector, fieldSelector } = options;
  const selectors = { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) };
  const informer = new ListWatch<T>(
    path,
    new BookmarkWatch(config, config instanceof PartConfig ? config.userAgent : 'slimfaas'),
    inPages((page) => list({ ...selectors, ...page })),
    false,
    labelSelector,
    fieldSelector,
  );
  const backoff = createBackoff({ minMs: 100, maxMs: MAX_DELAY_MS });
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
    // The library's start does not reject when its watch fails: then a restart is due, and nothing is in step yet.
    informer.start().then(() => timer ?? setSynced(true), restart);
  };

  followChanges(informer, handlers, options);
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

/** A throw of a handler would end the process, and again at each restart: it costs that object alone. */
function followChanges<T extends KubernetesObject>(
  informer: ListWatch<T>,
  handlers: WatchHandlers<T>,
  { path, log, onFailed = logFailure(log) }: WatchOptions,
): void {
  const guarded = (handle: (object: T) => void) => (object: T) => {
    try {
      handle(object);
    } catch (error) {
      onFailed(path, object, error);
    }
  };
  const set = guarded((object) => handlers.onSet(object));
  const take = (object: T) => {
    set(object);
    keepIdentity(object);
  };
  informer.on('add', take);
  informer.on('update', take);
  informer.on(
    'delete',
    guarded((object) => handlers.onDelete(object)),
  );
}

function logFailure(log: Log): OnFailedObject {
  return (path, { metadata }, error) => {
    const { namespace, name } = metadata ?? {};
    log.error({ path, namespace, name, error: describeError(error) }, 'this object cannot be handled');
  };
}
