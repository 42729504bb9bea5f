/**
 * What the app must have passed before this sidecar may report `ready`. It is the probes of each container that
 * Kubernetes waits for, as the webhook has written them into the environment (webhook/inject/readiness.ts).
 */
import { UsageError } from '../../common/runtime/errors.ts';
import { envName } from '../../common/runtime/flags.ts';
import { parseProbe, readProbe, type CheckSpec } from './probe-spec.ts';
import { isObject } from '../../common/runtime/is-object.ts';

export interface ContainerChecks {
  readonly startup?: CheckSpec;
  readonly readiness?: CheckSpec;
}

export type AppReadiness =
  | { readonly kind: 'checks'; readonly containers: readonly ContainerChecks[] }
  /** Not for us to say; nothing is announced. */
  | { readonly kind: 'kubernetes' };

const FLAG = 'probes';
/** The value that leaves it to Kubernetes. */
const KUBERNETES = 'kubernetes';

/**
 * @param probes the flag of that name; empty: a webhook of 0.1.0, which knew one readinessProbe only
 * @throws UsageError for what is no list of probes
 */
export function parseReadiness(probes: string, readinessProbe: string, appPort: number): AppReadiness {
  if (probes === '') return ofOneProbe(readinessProbe, appPort);
  if (probes === KUBERNETES) return { kind: 'kubernetes' };
  const containers = parseList(probes).map((entry) => ({
    ...checkOf('startup', entry, appPort),
    ...checkOf('readiness', entry, appPort),
  }));
  return { kind: 'checks', containers };
}

function ofOneProbe(readinessProbe: string, appPort: number): AppReadiness {
  const readiness = parseProbe(readinessProbe, appPort);
  if (readiness.kind === 'kubernetes') return { kind: 'kubernetes' };
  return { kind: 'checks', containers: readiness.kind === 'none' ? [] : [{ readiness }] };
}

function checkOf(
  kind: keyof ContainerChecks,
  entry: Readonly<Record<string, unknown>>,
  appPort: number,
): ContainerChecks {
  const probe = entry[kind];
  if (probe === undefined) return {};
  const check = isObject(probe) ? readProbe(probe, appPort) : undefined;
  if (!check) throw bad(JSON.stringify(probe));
  return { [kind]: check };
}

function parseList(text: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every(isObject)) return value;
  } catch {
    // said below, with the text
  }
  throw bad(text);
}

function bad(text: string): UsageError {
  const allowed = `${KUBERNETES}, or a list of {"startup", "readiness"}, each an httpGet, tcpSocket or grpc probe`;
  return new UsageError(`${envName(FLAG)}: ${text} is not allowed; use ${allowed}`);
}
