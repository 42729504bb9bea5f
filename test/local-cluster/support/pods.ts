/**
 * Small pods for tests of the kubelet: shell scripts as containers, which write what they do to a file of the
 * test's own. `exec`, so that the signal reaches the program and not a shell in front of it.
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterApi, KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { waitFor } from '../../helpers/wait.ts';

export interface ContainerFields {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** A container that runs a shell script. */
export function sh(name: string, script: string, rest: object = {}): ContainerFields {
  return { name, image: 'none:1', command: ['sh', '-c', script], ...rest };
}

/** A container that does nothing until it is ended. */
export function idle(name = 'main', rest: object = {}): ContainerFields {
  return { name, image: 'none:1', command: ['sleep', '1000'], ...rest };
}

/** Notes `<name> up`, waits for SIGTERM, notes `<name> down`, ends with 0. */
export function noting(name: string, rest: object = {}): ContainerFields {
  const trap = `trap 'echo ${name} down >> "$NOTES"; exit 0' TERM`;
  return sh(name, `${trap}; echo ${name} up >> "$NOTES"; while :; do sleep 0.02; done`, rest);
}

export interface PodFields {
  readonly containers: readonly ContainerFields[];
  readonly initContainers?: readonly ContainerFields[];
  readonly [field: string]: unknown;
}

export function podOf(name: string, spec: PodFields, labels: Record<string, string> = { app: name }) {
  const metadata = { name, namespace: 'default', labels } as unknown as KubeObject['metadata'];
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...spec } };
}

/** A file for what containers note; `env` goes into them. */
export function createNotes(atEnd: (release: () => void) => void) {
  const dir = mkdtempSync(join(tmpdir(), 'slimfaas-test-'));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'notes');
  return {
    dir,
    env: [{ name: 'NOTES', value: path }],
    note: (line: string) => appendFileSync(path, `${line}\n`),
    lines: () => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []),
  };
}

export function withEnv(
  env: readonly object[],
  containers: readonly ContainerFields[],
): readonly ContainerFields[] {
  return containers.map((container) => ({
    ...container,
    env: [...env, ...((container['env'] ?? []) as [])],
  }));
}

// oxlint-disable-next-line typescript/no-explicit-any -- a pod's status as the API has it
export function statusOf(api: ClusterApi, pod: string, container: string): any {
  const { containerStatuses = [], initContainerStatuses = [] } =
    api.get('pods', 'default', pod)?.['status'] ?? {};
  return [...containerStatuses, ...initContainerStatuses].find(
    (status: { name: string }) => status.name === container,
  );
}

export function phaseOf(api: ClusterApi, pod: string): string | undefined {
  return api.get('pods', 'default', pod)?.['status']?.phase as string | undefined;
}

export function isReady(pod: KubeObject | undefined): boolean {
  const conditions = (pod?.['status']?.conditions ?? []) as { type: string; status: string }[];
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

export async function untilPhase(api: ClusterApi, pod: string, phase: string): Promise<void> {
  await waitFor(() => phaseOf(api, pod) === phase, { what: `pod ${pod} is ${phase}` });
}

export async function untilReady(api: ClusterApi, pod: string, wanted = true): Promise<void> {
  const what = `pod ${pod} is ${wanted ? '' : 'not '}ready`;
  await waitFor(() => isReady(api.get('pods', 'default', pod)) === wanted, { what });
}

export async function untilGone(api: ClusterApi, pod: string): Promise<void> {
  await waitFor(() => api.get('pods', 'default', pod) === undefined, { what: `pod ${pod} is gone` });
}

/** Reasons of the events about an object. */
export function eventsAbout(api: ClusterApi, name: string): string[] {
  return api
    .list('events', { namespace: 'default' })
    .filter((event) => event['involvedObject'].name === name)
    .map((event) => `${event['reason']}: ${event['message']}`);
}

/** Numbers of the processes of this machine whose command line or environment has the text in it. */
export function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => ['cmdline', 'environ'].some((file) => readProc(pid, file).includes(text)))
    .map(Number);
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return ''; // it has ended, or is not ours
  }
}
