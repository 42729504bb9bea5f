/**
 * The rules of Kubernetes' own validation that an injection could break, and those of Pod Security `restricted`
 * for one container. Returns what is wrong, so that a test can say `[]`.
 */
import type { V1Container, V1Pod } from '../../common/kube/client.ts';
import { quantity } from '../../webhook/inject/sidecar-resources.ts';

const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const PORT_NAME = /^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;

export function brokenRules(pod: V1Pod): string[] {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const names = containers.map(({ name }) => name);
  return [
    ...duplicates(names).map((name) => `two containers named ${name}`),
    ...Object.entries(pod.metadata?.labels ?? {})
      .filter(([, value]) => !LABEL_VALUE.test(value))
      .map(([key, value]) => `label ${key}: ${value}`),
    ...containers.flatMap((container) => brokenContainerRules(container)),
    ...(pod.spec?.containers ?? []).filter((c) => c.restartPolicy).map((c) => `${c.name}: restartPolicy`),
  ];
}

function brokenContainerRules(container: V1Container): string[] {
  const ports = container.ports ?? [];
  const portNames = ports.flatMap(({ name }) => name ?? []);
  const { requests = {}, limits = {} } = container.resources ?? {};
  const handler = container.lifecycle?.preStop;
  return [
    ...duplicates((container.env ?? []).map(({ name }) => name)).map((name) => `two env ${name}`),
    ...duplicates(portNames).map((name) => `two ports ${name}`),
    ...portNames.filter((name) => name.length > 15 || !PORT_NAME.test(name)).map((name) => `port ${name}`),
    ...Object.entries(requests)
      .filter(([name, request]) => limits[name] && quantity(request) > quantity(limits[name]))
      .map(([name]) => `${name}: request above limit`),
    ...(handler && Object.keys(handler).length !== 1 ? ['preStop has not exactly one handler'] : []),
  ].map((problem) => `${container.name}: ${problem}`);
}

export function brokenRestrictedRules(container: V1Container): string[] {
  const security = container.securityContext ?? {};
  const rules: [string, boolean][] = [
    ['allowPrivilegeEscalation', security.allowPrivilegeEscalation === false],
    ['capabilities', security.capabilities?.drop?.includes('ALL') === true && !security.capabilities.add],
    ['runAsNonRoot', security.runAsNonRoot === true],
    ['runAsUser', security.runAsUser !== 0],
    ['seccompProfile', security.seccompProfile?.type === 'RuntimeDefault'],
    ['privileged', security.privileged !== true],
    ['hostPort', (container.ports ?? []).every(({ hostPort }) => hostPort === undefined)],
  ];
  return rules.filter(([, holds]) => !holds).map(([name]) => name);
}

function duplicates(values: readonly string[]): string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}
