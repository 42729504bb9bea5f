/**
 * The API server of the local cluster: HTTPS in front of an in-memory store. What it gives up: it keeps
 * nothing over a restart, knows one version of each kind, and one node's worth of load.
 * `docs/local-cluster.md` lists what is faithful and what is not.
 */
import type { Running } from '../../common/lifecycle.ts';
import type { Log } from '../../common/log.ts';
import type { ClusterApi } from './types.ts';

export interface ApiServerOptions {
  /** A loopback address. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly log: Log;
}

/** Where a Service can be reached from this machine; undefined: no ready endpoint (the call then fails). */
export type ServiceResolver = (
  namespace: string,
  name: string,
  port: number,
) => { host: string; port: number } | undefined;

export interface LogOptions {
  readonly follow: boolean;
  readonly tailLines: number | undefined;
}

/** `kubectl logs`: undefined when there is no such container yet (answered 400 as a kubelet does). */
export type LogReader = (
  namespace: string,
  pod: string,
  container: string,
  options: LogOptions,
) => AsyncIterable<Buffer> | undefined;

/** What the API server asks of the rooms that run pods and services; each may be attached on its own. */
export interface RuntimeHooks {
  readonly resolveService?: ServiceResolver;
  readonly readLogs?: LogReader;
}

/** Faults on request. They concern clients over HTTPS; the in-process {@link ClusterApi} always works. */
export interface ApiFaults {
  /** True: every open connection is reset and every new one too, until false. */
  setAway(isAway: boolean): void;
  /** Ends the sockets of all open watches, as a restarting API server or a load balancer does. */
  cutWatches(): void;
  /** Every resourceVersion and continue token handed out so far is too old: 410 Gone, until a new list. */
  expireWatches(): void;
  /** Each request waits that long before it is looked at; 0 ends it. */
  setDelay(ms: number): void;
}

export interface ApiServer extends Running {
  /** In-process access with the rights of the control plane; admission, validation and quota still apply. */
  readonly api: ClusterApi;
  readonly url: string;
  /** The CA that signed the server's certificate. */
  readonly caPem: string;
  /**
   * YAML for `kubectl` and client-node. `user`: `admin` (default, may do everything), a service account as
   * `system:serviceaccount:<namespace>:<name>` (RBAC applies), or any other user name (RBAC applies).
   */
  kubeconfig(user?: string): string;
  /** A bearer token, valid for as long as the server runs; the service account need not exist yet. */
  serviceAccountToken(namespace: string, name: string): string;
  readonly faults: ApiFaults;
  attachRuntime(hooks: RuntimeHooks): void;
}

export declare function startApiServer(options: ApiServerOptions): Promise<ApiServer>;
