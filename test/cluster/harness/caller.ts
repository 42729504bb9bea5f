/** The pod that calls from inside (apps/caller.ts), ordered through the API server. */
import { waitFor } from '../../helpers/wait.ts';
import { appPod } from './functions.ts';
import type { Clients } from './clients.ts';
import type { RunContext } from './settings.ts';

export interface LoadOrder {
  readonly url: string;
  /** Each has one call at a time. */
  readonly callers: number;
  /** Between the starts of one caller's calls, at least. */
  readonly paceMs?: number;
  /** A new connection for each call. */
  readonly isFresh?: boolean;
}

export interface CallOrder {
  readonly url: string;
  readonly headers?: Record<string, string>;
  readonly timeoutMs?: number;
}

export interface LoadResult {
  readonly calls: number;
  /** Status 0: the connection broke. */
  readonly failures: readonly { readonly at: number; readonly status: number; readonly body: string }[];
  /** Those of more than 3 s, with the time when they began. */
  readonly slow: readonly { readonly at: number; readonly ms: number }[];
  /** When each call began, in milliseconds since 1970. */
  readonly begun: readonly number[];
  /** Addresses that the app was called from, in the order of their first call; of `/hello` alone. */
  readonly peers: readonly string[];
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Times of the caller's node, in milliseconds since 1970. */
export interface TimedAnswer {
  readonly status: number;
  readonly body: string;
  readonly begunAt: number;
  readonly endedAt: number;
}

export interface Caller {
  /** Begins load; hands back its end. */
  load(order: LoadOrder): Promise<{ stop(): Promise<LoadResult> }>;
  call(url: string, headers?: Readonly<Record<string, string>>, timeoutMs?: number): Promise<TimedAnswer>;
  /** Opens a TCP connection to `host:port` and keeps it open for so long, without a byte. Resolves when it is open. */
  hold(address: string, ms: number): Promise<{ status: number }>;
  /** Calls every 20 ms until it is answered with 200. */
  poll(url: string): Promise<TimedAnswer>;
}

const NAME = 'caller';

/** Makes the pod when it is not there yet. */
export async function openCaller(clients: Clients, context: RunContext, namespace: string): Promise<Caller> {
  const path = `/api/v1/namespaces/${namespace}/pods/${NAME}`;
  if ((await clients.get(path)) === undefined) {
    await clients.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: NAME, namespace, labels: { app: NAME } },
      spec: appPod(context.settings, { name: NAME, app: 'caller', port: 8080 }),
    });
  }
  await clients.kubectl(['wait', '-n', namespace, `pod/${NAME}`, '--for=condition=Ready', '--timeout=60s']);
  const order = async (name: string, body?: object): Promise<unknown> => {
    const { status, text } = await clients.send('POST', `${path}:8080/proxy/${name}`, body ?? {});
    if (status !== 200) throw new Error(`caller: ${name}: ${status} ${text}`);
    return JSON.parse(text);
  };
  return {
    async load(wanted) {
      const { id } = (await order('start', wanted)) as { id: string };
      return {
        // The API server may just be coming back.
        stop: () =>
          waitFor(() => order(`stop/${id}`) as Promise<LoadResult>, {
            what: 'the caller says what it saw',
            timeoutMs: 150_000,
            intervalMs: 500,
          }),
      };
    },
    call: (url, headers = {}, timeoutMs = 120_000) =>
      order('call', { url, headers, timeoutMs }) as Promise<TimedAnswer>,
    hold: (address, ms) => order('hold', { address, ms }) as Promise<{ status: number }>,
    poll: (url) => order('poll', { url }) as Promise<TimedAnswer>,
  };
}
