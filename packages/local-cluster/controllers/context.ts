/** What every controller is given. */
import type { Log } from '../../../common/runtime/log.ts';
import type { ClusterApi } from '../api/objects/types.ts';
import type { EventRecorder } from './events.ts';

export interface ControllerContext {
  readonly api: ClusterApi;
  readonly events: EventRecorder;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
