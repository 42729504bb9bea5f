/**
 * Names to addresses, a few at a time. The system's resolver (which knows /etc/hosts and the cluster's search
 * domains) holds one of the process's four helper threads for as long as it takes. Reconnecting to NATS needs one
 * too. So a stranger's names that resolve slowly must not take them all. Beyond a short line names are not resolved
 * at all.
 */
import { lookup } from 'node:dns/promises';
import { FewAtOnce } from '../../common/runtime/few-at-once.ts';

/** All addresses of a name. Rejects when there is none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

const MAX_LOOKUPS = 2;
const MAX_WAITING_LOOKUPS = 64;

/** Names that are resolved, and those in line for it. */
export interface NameLine {
  readonly resolve: Resolve;
  readonly open: number;
}

export const systemLookup: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

export const systemNames: NameLine = fewAtOnce(systemLookup);

export function fewAtOnce(
  resolve: Resolve,
  { atOnce = MAX_LOOKUPS, inLine = MAX_WAITING_LOOKUPS } = {},
): NameLine {
  const few = new FewAtOnce({ atOnce, inLine, full: 'too many names are being resolved' });
  return {
    resolve: (host) => few.run(() => resolve(host)),
    get open() {
      return few.open;
    },
  };
}
