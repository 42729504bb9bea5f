/** The proxy's metrics that are measured when somebody asks: what waits, runs and is connected now. */
import { Counter, Gauge, type Registry } from '../../common/runtime/metrics.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';

export interface Gauges {
  /** Functions with what waits and runs now. */
  functions(): Iterable<{ id: FunctionId; waiting: number; inFlight: number }>;
  connections(): Promise<number>;
  waitingBytes(): number;
  placeLines(): number;
  /** Kept messages of pods that are not known yet. */
  earlyReady(): number;
  /** Callers whose rate is remembered. */
  callerRates(): number;
  /** Memory of tokens that were verified. */
  tokenBytes(): number;
  relayConnections(): { active: number; idle: number };
  /** Since the start. */
  slowClients(): number;
  /** Clients that follow the status, and the bytes that they and others have not read of it. */
  status(): { readers: number; bytes: number };
  /** Connections and requests of HTTP/2 now; requests and broken connections since the start. */
  http2(): { connections: number; running: number; streams: number; errors: number };
}

export function registerGauges(registry: Registry, gauges: Gauges): void {
  registerCalls(registry, gauges);
  registerConnections(registry, gauges);
  registerHttp2(registry, gauges);
  registerStatus(registry, gauges);
}

function registerCalls(registry: Registry, gauges: Gauges): void {
  const each = (pick: (f: { waiting: number; inFlight: number }) => number) => (g: Gauge) => {
    for (const fn of gauges.functions())
      g.set({ namespace: fn.id.namespace, function: fn.id.name }, pick(fn));
  };
  const labels = ['namespace', 'function'];
  const waiting = gauge(registry, 'slimfaas_proxy_waiting_requests', 'Calls waiting for a place', labels);
  waiting(each((f) => f.waiting));
  gauge(registry, 'slimfaas_proxy_in_flight_requests', 'Calls in a pod', labels)(each((f) => f.inFlight));
  const lines = 'Pods that are told how many calls wait here';
  gauge(registry, 'slimfaas_proxy_place_lines', lines)((g) => g.set(gauges.placeLines()));
  const early = 'Ready messages of pods that the watch has not shown yet';
  gauge(registry, 'slimfaas_proxy_early_ready', early)((g) => g.set(gauges.earlyReady()));
  const callers = 'Callers whose rate is remembered';
  gauge(registry, 'slimfaas_proxy_rate_limit_callers', callers)((g) => g.set(gauges.callerRates()));
  const tokens = 'Memory of tokens that were verified';
  gauge(registry, 'slimfaas_proxy_token_bytes', tokens)((g) => g.set(gauges.tokenBytes()));
  const bytes = gauge(registry, 'slimfaas_proxy_waiting_bytes', 'Memory held by waiting calls');
  bytes((g) => g.set(gauges.waitingBytes()));
}

function registerConnections(registry: Registry, gauges: Gauges): void {
  const clients = gauge(registry, 'slimfaas_proxy_client_connections', 'Open client connections');
  clients(async (g) => g.set(await gauges.connections()));
  const pods = gauge(registry, 'slimfaas_proxy_pod_connections', 'Connections to pods', ['state']);
  pods((g) => {
    const { active, idle } = gauges.relayConnections();
    g.set({ state: 'active' }, active);
    g.set({ state: 'idle' }, idle);
  });
  const slow = 'Connections cut because the client neither sent its body nor read its answer';
  counter(registry, 'slimfaas_proxy_slow_clients_total', slow, () => gauges.slowClients());
}

function registerStatus(registry: Registry, { status }: Gauges): void {
  const readers = gauge(registry, 'slimfaas_proxy_status_readers', 'Clients that follow the status');
  readers((g) => g.set(status().readers));
  const bytes = gauge(registry, 'slimfaas_proxy_status_bytes', 'Bytes of status answers not read yet');
  bytes((g) => g.set(status().bytes));
}

/** `client_connections` counts these too; what HTTP/2 shows there as one connection may be hundreds of calls. */
function registerHttp2(registry: Registry, gauges: Gauges): void {
  const connections = gauge(registry, 'slimfaas_proxy_http2_connections', 'Open HTTP/2 connections');
  connections((g) => g.set(gauges.http2().connections));
  const running = gauge(
    registry,
    'slimfaas_proxy_http2_open_requests',
    'Requests open on HTTP/2 connections',
  );
  running((g) => g.set(gauges.http2().running));
  const requests = 'Requests that came over HTTP/2';
  counter(registry, 'slimfaas_proxy_http2_requests_total', requests, () => gauges.http2().streams);
  const errors = 'HTTP/2 connections cut for breaking the protocol or a limit (floods)';
  counter(registry, 'slimfaas_proxy_http2_errors_total', errors, () => gauges.http2().errors);
}

/** @param read the count since the start */
function counter(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}

/** Registers a gauge; the answer takes how to read it. */
function gauge(registry: Registry, name: string, help: string, labelNames: readonly string[] = []) {
  return (read: (g: Gauge) => unknown): void => {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      async collect() {
        this.reset();
        await read(this);
      },
    });
  };
}
