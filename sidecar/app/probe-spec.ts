/**
 * What to probe, from the readinessProbe that the webhook copied into the environment. An exec probe cannot
 * be run from here (it needs the user's container), so then Kubernetes' own readiness has to do.
 */
import { UsageError } from '../../common/runtime/errors.ts';
import { envName } from '../../common/runtime/flags.ts';
import { isObject } from '../../common/runtime/is-object.ts';

export type ProbeSpec =
  /** Nothing to wait for: the workload speaks no HTTP and declares no probe. */
  | { readonly kind: 'none' }
  /** Kubernetes decides alone; nothing is announced. */
  | { readonly kind: 'kubernetes' }
  | { readonly kind: 'tcp'; readonly port: number; readonly timing: ProbeTiming }
  | {
      readonly kind: 'http';
      readonly port: number;
      readonly path: string;
      readonly isHttps: boolean;
      readonly headers: readonly string[];
      readonly timing: ProbeTiming;
    }
  | { readonly kind: 'grpc'; readonly port: number; readonly service: string; readonly timing: ProbeTiming };

/** What can be checked from here. */
export type CheckSpec = Exclude<ProbeSpec, { kind: 'none' | 'kubernetes' }>;

export interface ProbeTiming {
  readonly timeoutMs: number;
  readonly successThreshold: number;
  /** Before the first check; see {@link timingOf}. */
  readonly delayMs: number;
  /** Between two successes of which more than one is asked for. */
  readonly periodMs: number;
}

const FLAG = 'readiness-probe';

type Json = Record<string, unknown>;

/** @throws UsageError for JSON that is no probe */
export function parseProbe(text: string, appPort: number): ProbeSpec {
  if (text === '') {
    return appPort === 0 ? { kind: 'none' } : { kind: 'tcp', port: appPort, timing: timingOf({}) };
  }
  return readProbe(parseJson(text), appPort) ?? { kind: 'kubernetes' };
}

/** undefined for an exec probe, and for what is no probe. */
export function readProbe(probe: Json, appPort: number): CheckSpec | undefined {
  const timing = timingOf(probe);
  if (isObject(probe['httpGet'])) return httpProbe(probe['httpGet'], appPort, timing);
  if (isObject(probe['tcpSocket'])) {
    return { kind: 'tcp', port: portOf(probe['tcpSocket'], appPort), timing };
  }
  if (isObject(probe['grpc'])) {
    const service = probe['grpc']['service'];
    const port = portOf(probe['grpc'], appPort);
    return { kind: 'grpc', port, service: typeof service === 'string' ? service : '', timing };
  }
  return undefined;
}

/**
 * An httpGet or grpc probe that passes shows that the app is ready, so its initialDelaySeconds is passed over. The
 * delay spares an app the kubelet's probes before it can listen. A probe that is refused on loopback costs it
 * nothing. A connect says no more than that somebody listens: with a delay, the user says when that is ready.
 */
function timingOf(probe: Json): ProbeTiming {
  const delaySeconds = isObject(probe['tcpSocket']) ? numberOr(probe['initialDelaySeconds'], 0) : 0;
  return {
    timeoutMs: numberOr(probe['timeoutSeconds'], 1) * 1_000,
    successThreshold: numberOr(probe['successThreshold'], 1),
    delayMs: delaySeconds * 1_000,
    periodMs: numberOr(probe['periodSeconds'], 10) * 1_000,
  };
}

function httpProbe(httpGet: Json, appPort: number, timing: ProbeTiming): CheckSpec {
  const path = typeof httpGet['path'] === 'string' && httpGet['path'] !== '' ? httpGet['path'] : '/';
  const headers: string[] = [];
  for (const header of Array.isArray(httpGet['httpHeaders']) ? httpGet['httpHeaders'] : []) {
    if (isObject(header)) headers.push(String(header['name']), String(header['value']));
  }
  return {
    kind: 'http',
    port: portOf(httpGet, appPort),
    path: path.startsWith('/') ? path : `/${path}`,
    isHttps: httpGet['scheme'] === 'HTTPS',
    headers,
    timing,
  };
}

/** The webhook has replaced named ports by their numbers; a port that is none means the app's own. */
function portOf(action: Json, appPort: number): number {
  const port = Number(action['port']);
  return Number.isInteger(port) && port > 0 ? port : appPort;
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' && value > 0 ? value : fallback;
}

function parseJson(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // said below, with the text
  }
  throw new UsageError(
    `${envName(FLAG)}: ${JSON.stringify(text)} is not allowed; use a readinessProbe as JSON`,
  );
}
