/** What the kubelet is given, by all who start and run pods. */
import type { Log } from '../../../../common/runtime/log.ts';
import type { IssueOptions } from '../../api/http/auth.ts';
import type { ClusterApi, KubeObject } from '../../api/objects/types.ts';
import type { ImageTable } from '../container/images.ts';

export interface LogEntry {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly line: string;
}

export interface KubeletOptions {
  readonly api: ClusterApi;
  readonly nodeNames: readonly string[];
  /** The cluster's temp folder. */
  readonly dir: string;
  readonly hostIp: string;
  readonly allocateIp: () => string;
  readonly releaseIp: (ip: string) => void;
  readonly images: ImageTable;
  readonly kubeconfigFor: (namespace: string, serviceAccount: string) => string;
  readonly tokenFor: (namespace: string, serviceAccount: string, options: IssueOptions) => string;
  readonly event: (pod: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string) => void;
  readonly onLog: (entry: LogEntry) => void;
  readonly backoffBaseMs?: number | undefined;
  readonly log: Log;
}
