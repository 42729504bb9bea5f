/**
 * The sidecar, put together: everything that comes from outside the process is an argument, and the order of
 * starting and stopping stands here. It listens first; everything that is not needed to accept a call comes
 * after, because each millisecond before belongs to a caller that waits for this pod.
 */
import type { Running } from '../common/runtime/lifecycle.ts';
import { createAdminServer } from './admin/admin-server.ts';
import { openAppHop } from './app/app-hop.ts';
import { startAppProbe, type AppReady } from './app/app-probe.ts';
import { createDataServer } from './call/data-server.ts';
import { giveMemoryBackWhenIdle } from './life/idle-memory.ts';
import { listen } from './life/listener.ts';
import { buildParts, type Parts } from './parts.ts';
import type { SidecarConfig, SidecarDeps } from './config.ts';

export interface RunningSidecar extends Running {
  readonly port: number;
  readonly adminPort: number;
  /** Resolves when the app has passed its probe, or there is none to pass. */
  readonly appReady: Promise<void>;
}

/** Resolves when it listens; the app may not be ready by then. */
export async function startSidecar(config: SidecarConfig, deps: SidecarDeps): Promise<RunningSidecar> {
  let ports = { data: config.port, admin: config['admin-port'] };
  const way = await openAppHop(config['app-protocol'], config['app-tls']);
  const parts = buildParts(config, { ...deps, ...way }, () => ports);
  const { stops, context } = parts;
  const listeners = await openPorts(config, deps, parts);
  ports = { data: listeners.data.port, admin: listeners.admin.port };
  const { stats, inFlight } = context;
  stops.add(
    'idle memory',
    giveMemoryBackWhenIdle({ isBusy: () => inFlight.count > 0, ended: () => stats.ended, log: deps.log }),
  );
  const probing = new AbortController();
  stops.add('app probe', () => probing.abort());
  const open = async (hasDrained: boolean): Promise<void> => {
    const how = await startAppProbe(parts.readiness, config['app-host'], probing.signal, (why) =>
      parts.trouble.failed(why),
    );
    if (how === 'stopped') return;
    parts.trouble.passed();
    deps.log.info({ how, sinceStartMs: Math.round(performance.now()) }, 'app ready');
    context.admission.open();
    context.reporter.limitChanged();
    // Taken back by its own word, also where it is for Kubernetes to call the pod ready.
    if (how === 'passed' || hasDrained) parts.announcer.announce('ready');
    if (config['app-port'] !== 0) void fetchWork(how, { config, deps, parts, signal: probing.signal });
  };
  parts.onReopen(open);
  const appReady = open(false);
  stops.add('jobs', () => parts.jobs.stop());
  stops.add('events', () => parts.events.stop());
  stops.add('drain', () => context.drain.end());
  deps.log.info({ function: config.function, port: ports.data, appPort: config['app-port'] }, 'listening');
  return { stop: () => stops.stop(), port: ports.data, adminPort: ports.admin, appReady };
}

interface Fetching {
  readonly config: SidecarConfig;
  readonly deps: SidecarDeps;
  readonly parts: Parts;
  readonly signal: AbortSignal;
}

/** Jobs and events: a proxy that sends us a call knows that the pod is ready, but these are fetched. */
async function fetchWork(how: AppReady, { config, deps, parts, signal }: Fetching): Promise<void> {
  if (how === 'kubernetes') {
    const { waitForKubeReady } = await import('./life/kube-ready.ts');
    const question = { id: parts.adminContext.id, pod: config['pod-name'] };
    if (!(await waitForKubeReady(deps.nats, question, signal))) return;
  }
  void parts.jobs.start();
  void parts.events.start();
}

async function openPorts(config: SidecarConfig, { log }: SidecarDeps, parts: Parts) {
  const { stops, context, tunnels, adminContext } = parts;
  try {
    const admin = await listen(createAdminServer(adminContext, log), config.host, config['admin-port']);
    stops.add('admin server', () => admin.close());
    const data = await listen(createDataServer(context, tunnels), config.host, config.port);
    stops.add('connections to the app', () => context.relay.close());
    stops.add('data server', () => data.close());
    stops.add('tunnels', () => tunnels.destroyAll());
    return { admin, data };
  } catch (error) {
    await stops.stop(); // a port is taken: nothing of us may stay
    throw error;
  }
}
