/** What jobs and queries must know of all functions; worked out again only after a change of any. */
import { isBuiltIn, MESSAGE_RATE } from '../../common/function/built-in-triggers.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { KeptFunction } from '../jobs/job-keeper.ts';
import type { WorldView } from '../world/world.ts';

export interface FunctionList {
  /** All, for their jobs. */
  readonly kept: readonly KeptFunction[];
  /** Those whose triggers have queries. */
  readonly withQueries: readonly FunctionInfo[];
  /** Those whose triggers have sources of their own. */
  readonly withSources: readonly FunctionInfo[];
  /** The shortest of their intervals; Infinity without any. */
  readonly everyMs: number;
}

/** @returns what gives the list; the same object as long as nothing has changed */
export function listFunctionsOf(world: WorldView): () => FunctionList {
  let version = -1;
  let list: FunctionList = { kept: [], withQueries: [], withSources: [], everyMs: Infinity };
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
  const withSources: FunctionInfo[] = [];
  let everyMs = Infinity;
  for (const { fn } of world.workloads()) {
    if (!fn) continue;
    const { triggers = [], scrapeIntervalMs = Infinity } = fn.spec.scale ?? {};
    const wantsRate = triggers.some((trigger) => isBuiltIn(trigger) && trigger.metricName === MESSAGE_RATE);
    kept.push({ id: fn.id, isOrdered: fn.spec.ordered, wantsRate });
    if (triggers.some(({ source }) => source !== undefined)) withSources.push(fn);
    if (!triggers.some(({ query, source }) => query !== '' && source === undefined)) continue;
    withQueries.push(fn);
    everyMs = Math.min(everyMs, scrapeIntervalMs);
  }
  return { kept, withQueries, withSources, everyMs };
}
