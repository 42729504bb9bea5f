/** What the API server asks of the rooms that run pods and services. */

/** Where a Service can be reached from this machine; undefined: no ready endpoint (the call then fails). */
export type ServiceResolver = (
  namespace: string,
  name: string,
  port: number,
) => { host: string; port: number } | undefined;

export interface LogOptions {
  readonly follow: boolean;
  readonly tailLines: number | undefined;
  /** Aborts when the client has left; a reader that follows should then end. */
  readonly signal: AbortSignal;
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
