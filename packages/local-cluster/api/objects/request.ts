/** What a request to the registry is about, on whose behalf it comes, and what it would change. */
import { CONTROL_PLANE } from '../http/auth.ts';
import type { User } from '../http/auth.ts';
import type { Kind } from './kinds.ts';
import type { KubeObject } from './types.ts';

/** On whose behalf something happens, and how. */
export interface ApiUser {
  readonly user: User;
  readonly isDryRun: boolean;
  readonly warn: (text: string) => void;
}

export const IN_PROCESS: ApiUser = { user: CONTROL_PLANE, isDryRun: false, warn: () => {} };

export interface ApiTarget {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly subresource?: 'status' | undefined;
}

/** Returns the proposed next state; `current` is the caller's own copy. False: leave it as it is. */
export type Change = (current: KubeObject) => KubeObject | false;
