/**
 * Why a StatefulSet's pods cannot be created. A Deployment says so in its status; a StatefulSet only in Events, which
 * Kubernetes keeps for an hour. What the latest one says counts while the set has fewer pods than it wants: a
 * pod that was created is the end of it.
 */
import type { CoreV1Event, KubeConfig } from '@kubernetes/client-node';
import type { Log } from '../runtime/log.ts';
import type { ListedResources } from './listed.ts';
import { watchResource, type OnFailedObject, type Watched } from './watched.ts';

const SELECTOR = 'involvedObject.kind=StatefulSet,reason=FailedCreate,type=Warning';

export interface CreationFailure {
  /** The StatefulSet's. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly message: string;
}

export interface FailuresOptions {
  readonly config: KubeConfig;
  readonly events: ListedResources['events'];
  readonly onFailure: (failure: CreationFailure) => void;
  readonly log: Log;
  readonly onFailed?: OnFailedObject;
}

/** Nothing waits for it: without it, or without the right to read Events, a cause is missing and all else works. */
export function watchCreationFailures(options: FailuresOptions): Watched {
  const { config, events, onFailure, log, onFailed } = options;
  return watchResource<CoreV1Event>(
    config,
    events.list,
    {
      onSet(event) {
        const { uid, namespace, name } = event.involvedObject;
        if (uid && namespace && name && event.message)
          onFailure({ uid, namespace, name, message: event.message });
      },
      onDelete: () => undefined,
    },
    { path: events.path, fieldSelector: SELECTOR, log, ...(onFailed && { onFailed }) },
  );
}
