/** The retry policies of this function's calls, jobs and events, read once. */
import { DEFAULT_POLICIES, type RetryPolicy } from '../../common/call/policy.ts';
import { parseCallPolicy } from './call-policy.ts';
import type { SidecarConfig } from '../config.ts';

export interface Policies {
  readonly sync: RetryPolicy;
  readonly async: RetryPolicy;
  readonly publish: RetryPolicy;
}

/** @throws UsageError for a policy that cannot be used */
export function policiesOf(config: SidecarConfig): Policies {
  return {
    sync: parseCallPolicy('sync-policy', config['sync-policy'], DEFAULT_POLICIES.sync),
    async: parseCallPolicy('async-policy', config['async-policy'], DEFAULT_POLICIES.async),
    publish: parseCallPolicy('publish-policy', config['publish-policy'], DEFAULT_POLICIES.publish),
  };
}
