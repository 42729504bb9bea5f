/** What jobs and queries must know of all functions; worked out again only after a change of any. */
import { MESSAGE_RATE } from '../../common/function/built-in-triggers.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { KeptFunction } from '../jobs/job-keeper.ts';
import type { WorldView } from '../world/world.ts';

export interface FunctionList {
  /** All, for their jobs. */
  readonly kept: readonly KeptFunction[];
  /** Those whose triggers have queries. */
  readonly withQueries: readonly FunctionInfo[];
  /** The shortest of their intervals; Infinity without any. */
  readonly everyMs: number;
}

/** @returns what gives the list; the same object as long as nothing has changed */
export function listFunctionsOf(world: WorldView): () => FunctionList {
  let version = -1;
  let list: FunctionList = { kept: [], withQueries: [], everyMs: Infinity };
  return () => {
    if (version === world.specVersion) return list;
    version = world.specVersion;
    list = read(world);
    return list;
  };
}

function read(world: WorldView): FunctionList {
  const kept: KeptFunction[] = [];
  const withQueries: FunctionInfo[] = [];
  let everyMs = Infinity;
  for (const { fn } of world.workloads()) {
    if (!fn) continue;
    const { triggers = [], scrapeIntervalMs = Infinity } = fn.spec.scale ?? {};
    const wantsRate = triggers.some(({ query, metricName }) => query === '' && metricName === MESSAGE_RATE);
    kept.push({ id: fn.id, isOrdered: fn.spec.ordered, wantsRate });
    if (!triggers.some(({ query }) => query !== '')) continue;
    withQueries.push(fn);
    everyMs = Math.min(everyMs, scrapeIntervalMs);
  }
  return { kept, withQueries, everyMs };
}
