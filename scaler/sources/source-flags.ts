/** Flags of the sources. */
import { UrlAllow } from '../../common/outbound/allow.ts';
import type { FlagTable } from '../../common/runtime/flags.ts';

export const sourceFlags = {
  'source-allow': {
    type: 'list',
    default: [],
    group: 'Queries',
    describe:
      'where sources of SlimFaas/Scale may lead beside Services of their own namespace: names, name:port, addresses and ranges',
  },
} as const satisfies FlagTable;

/** @throws UsageError naming the entry that is none */
export function checkedSources(entries: readonly string[]): readonly string[] {
  return new UrlAllow(entries, 'source-allow').isOff ? [] : entries;
}
