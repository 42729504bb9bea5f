/** Parts of the cluster itself, stopped and started by the command that CLUSTER_FAULTS names. */
import { mustRun } from './clients.ts';
import type { Settings } from './settings.ts';

export type ClusterPart = 'kubelet' | 'kube-proxy' | 'api-server';

export interface Faults {
  stop(part: ClusterPart): Promise<void>;
  /** Returns when it serves. */
  start(part: ClusterPart): Promise<void>;
  /** Entries of the API server's audit log whose line has the text. */
  audit(text: string): Promise<AuditEntry[]>;
}

export interface AuditEntry {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly apiGroup?: string;
  };
  readonly responseStatus?: { readonly code?: number; readonly message?: string };
  readonly userAgent?: string;
}

/** What a test says when it cannot run; undefined: it can. */
export function whyNoFaults({ faults }: Settings): string | undefined {
  return faults.length > 0 ? undefined : 'CLUSTER_FAULTS names no command that can do this';
}

export function createFaults({ faults }: Settings): Faults {
  return {
    stop: async (part) => void (await mustRun(faults, ['stop', part])),
    start: async (part) => void (await mustRun(faults, ['start', part])),
    async audit(text) {
      const found = await mustRun(faults, ['audit', text]);
      const lines = found.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
      return lines.map((line) => JSON.parse(line) as AuditEntry);
    },
  };
}
