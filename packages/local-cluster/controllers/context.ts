/**
 * What every controller is given.
 *
 * Room `packages/local-cluster/controllers`: Deployments, StatefulSets, endpoints, scheduler.
 * Comes in: objects.
 * Goes out: objects.
 */
import type { Log } from '../../../common/runtime/log.ts';
import type { ClusterApi } from '../api/objects/types.ts';
import type { KubeEventRecorder } from './events.ts';

export interface ControllerContext {
  readonly api: ClusterApi;
  readonly events: KubeEventRecorder;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
