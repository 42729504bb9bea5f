/** Defaults inside a pod's spec; see defaults.ts. Mutates the draft it is given. */
import { fill } from '../http/json.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { JsonObject } from '../http/json.ts';

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

function defaultHandler(handler: unknown): void {
  if (!isObject(handler)) return;
  if (isObject(handler.httpGet)) fill(handler.httpGet, { path: '/', scheme: 'HTTP' });
  if (isObject(handler.grpc)) fill(handler.grpc, { service: '' });
}

/** The numbers that decide how soon a pod may be ready: 10 s periods unless the manifest says otherwise. */
function defaultProbe(probe: unknown): void {
  if (!isObject(probe)) return;
  fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  defaultHandler(probe);
}

/** `latest`, said or not, is always pulled. */
function pullPolicy(image: unknown): string {
  const text = String(image ?? '');
  const hasFixedTag = text.includes('@') || /:(?!latest$)[^/:]+$/.test(text);
  return hasFixedTag ? 'IfNotPresent' : 'Always';
}

/** A limit without a request is a request of the same size: the scheduler counts requests. */
function defaultResources(container: JsonObject): void {
  const resources = (container.resources ??= {}) as JsonObject;
  if (isObject(resources.limits)) {
    resources.requests ??= {};
    fill(resources.requests as JsonObject, resources.limits);
  }
}

function defaultContainer(container: JsonObject): void {
  fill(container, {
    imagePullPolicy: pullPolicy(container.image),
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
  });
  defaultResources(container);
  for (const port of objects(container.ports)) fill(port, { protocol: 'TCP' });
  for (const probe of PROBES) defaultProbe(container[probe]);
  if (isObject(container.lifecycle)) {
    defaultHandler(container.lifecycle.preStop);
    defaultHandler(container.lifecycle.postStart);
  }
  for (const variable of objects(container.env)) {
    const field = isObject(variable.valueFrom) ? variable.valueFrom.fieldRef : undefined;
    if (isObject(field)) fill(field, { apiVersion: 'v1' });
  }
}

function defaultVolume(volume: JsonObject): void {
  // Only a name: an empty folder.
  if (Object.keys(volume).length === 1) volume.emptyDir = {};
  // 0644
  for (const source of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    if (isObject(volume[source])) fill(volume[source], { defaultMode: 420 });
  }
}

export function defaultPodSpec(spec: JsonObject): void {
  fill(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    securityContext: {},
  });
  for (const container of objects(spec.containers)) defaultContainer(container);
  for (const container of objects(spec.initContainers)) defaultContainer(container);
  for (const volume of objects(spec.volumes)) defaultVolume(volume);
  // On the host's network a container's port is the host's.
  if (spec.hostNetwork === true) {
    for (const container of objects(spec.containers)) {
      for (const port of objects(container.ports)) fill(port, { hostPort: port.containerPort });
    }
  }
}
