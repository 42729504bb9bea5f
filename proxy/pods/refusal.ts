/** What a sidecar's refusal tells of its pod. To be noted after the call's place was given back. */
import { REFUSALS } from '../../common/function/names.ts';
import type { Endpoint } from './endpoint.ts';
import { unknownKeyText } from './prover.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';

/**
 * @param why of the header; one that we do not know counts as `full`
 * @param trouble what the sidecar's last check of the app found, if it says so
 */
export function noteRefusal(
  { account, pods }: Pick<FunctionEntry, 'account' | 'pods'>,
  endpoint: Endpoint,
  why: string,
  trouble?: string,
): void {
  const reason = REFUSALS.find((known) => known === why) ?? 'full';
  account.series.refused(reason);
  switch (reason) {
    case 'full':
      return endpoint.refusedFull();
    case 'starting':
    case 'crashed':
      return endpoint.appFailed(trouble);
    case 'draining':
      endpoint.markDraining();
      return pods.refresh();
    case 'unproven':
      return endpoint.failed(`its sidecar does not take us for a proxy: ${whyUnproven(endpoint, trouble)}`);
    case 'elsewhere':
      endpoint.movedAway();
      return pods.refresh();
  }
}

function whyUnproven({ proof, view }: Endpoint, trouble = 'it does not say why'): string {
  return proof === undefined && view.proxyKeys.length > 0 ? unknownKeyText(view) : trouble.slice(0, 300);
}
