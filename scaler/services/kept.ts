/** A Service that leads to the proxies while its function sleeps, and what is known of its slice. */
import type { V1OwnerReference } from '../../common/kube/client.ts';
import type { Pod } from '../world/kube-objects.ts';
import type { Match } from './match.ts';
import type { Stand, WrittenSlice } from './slices.ts';

export interface Kept {
  /** `namespace/name` of the slice. */
  readonly key: string;
  readonly match: Match;
  written: WrittenSlice | undefined;
  /** Since when its function has had a ready pod. */
  awakeSinceMs: number | undefined;
  settled: Settled | undefined;
}

/** The same for all Services. */
export interface Circumstances {
  readonly family: 'IPv4' | 'IPv6' | undefined;
  /** Changes when they do. */
  readonly proxies: number;
  readonly owner: V1OwnerReference | undefined;
}

/** What the slice was found right for. While it is the same there is nothing to write. */
interface Settled {
  readonly written: WrittenSlice;
  readonly stand: Stand;
  readonly proxies: number;
  readonly ownerUid: string | undefined;
}

/** @param before the one of the same slice, of the matching before */
export function keptFor(key: string, match: Match, written: WrittenSlice | undefined, before?: Kept): Kept {
  return {
    key,
    match,
    written,
    awakeSinceMs: before?.match.workload.key === match.workload.key ? before.awakeSinceMs : undefined,
    settled: before?.match.service === match.service ? before.settled : undefined,
  };
}

export function isSettled({ settled, written }: Kept, now: Omit<Settled, 'written'>): boolean {
  return (
    settled !== undefined &&
    settled.written === written &&
    settled.stand === now.stand &&
    settled.proxies === now.proxies &&
    settled.ownerUid === now.ownerUid
  );
}

export function hasReady(pods: ReadonlyMap<string, Pod>): boolean {
  for (const pod of pods.values()) if (pod.isReady && !pod.isEnding) return true;
  return false;
}
