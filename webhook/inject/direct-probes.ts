/**
 * What the kubelet and scrapers do to a pod by its own spec, so that the sidecar does not take them for callers
 * (docs/decisions/direct-traffic.md). Pure.
 */
import type { V1Container, V1Pod, V1Probe } from '../../common/kube/client.ts';
import { scrapeHint } from '../../common/kube/model/scrape-hint.ts';
import { userContainers } from '../../common/kube/model/containers.ts';
import { SIDECAR_CONTAINER, SIDECAR_DATA_PORT } from '../../common/function/names.ts';

/**
 * Probes that go on as long as the pod runs and open a connection to it: readiness and liveness, of containers and of
 * native sidecars. A startup probe ends before anybody asks. One that is a command stays within the pod. Ours is left
 * out: the sidecar counts what it accepts itself.
 */
export function probeTimings(pod: V1Pod): string[] {
  const native = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...native, ...(pod.spec?.containers ?? [])]
    .filter(({ name }) => name !== SIDECAR_CONTAINER)
    .flatMap(({ livenessProbe, readinessProbe }: V1Container) => [livenessProbe, readinessProbe])
    .filter((probe): probe is V1Probe => probe !== undefined && connectsToPod(probe))
    .map(({ periodSeconds, timeoutSeconds }) => `${periodSeconds ?? 10}:${timeoutSeconds ?? 1}`);
}

function connectsToPod({ httpGet, tcpSocket, grpc }: V1Probe): boolean {
  if (httpGet?.host || tcpSocket?.host) return false;
  return Boolean(httpGet ?? tcpSocket ?? grpc);
}

/**
 * A probe of the port for calls. It is a call: without a proof it is refused. Where direct calls are let in it stands in
 * the pod's line, so that a full pod fails it and is restarted.
 */
export function probeOfCallPort(pod: V1Pod): string | undefined {
  const found = userContainers(pod.spec).find(({ startupProbe, livenessProbe, readinessProbe }) =>
    [startupProbe, livenessProbe, readinessProbe].some((probe) =>
      isAt(probe?.httpGet?.port, SIDECAR_DATA_PORT),
    ),
  );
  return (
    found &&
    `container "${found.name}" has a probe of port ${SIDECAR_DATA_PORT}, which is for calls: it is refused, or waits in line while the pod is full; probe the app's own port`
  );
}

function isAt(port: string | number | undefined, wanted: number): boolean {
  return String(port) === String(wanted);
}

/** How often the scaler reads metrics of pods that ask for it, each time with a connection of its own. */
const SCRAPE = '5:2';

/** Scrapes of the app's own port come at a rate, like probes. */
export function scrapeTimings(pod: V1Pod, appPort: number): string[] {
  const hint = scrapeHint(pod.metadata?.annotations);
  return hint !== undefined && (hint.port ?? appPort) === appPort ? [SCRAPE] : [];
}

/** A port of its own for metrics, as Prometheus's usual annotations name it. */
export function scrapePortBeside(pod: V1Pod, appPort: number): number | undefined {
  const port = scrapeHint(pod.metadata?.annotations)?.port;
  return port === appPort ? undefined : port;
}
