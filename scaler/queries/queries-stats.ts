/** What the queries' thread has kept and refused, and how often it was started again. */
import type { RestartReason } from './query-host.ts';
import type { QueryThreadStats } from './query-messages.ts';

export interface QueriesStats extends QueryThreadStats {
  readonly restarts: Readonly<Record<RestartReason, number>>;
}
