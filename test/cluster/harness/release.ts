/**
 * Installations of the chart. One is shared by most files: the first that asks for it installs it, a mark in the run's
 * folder tells the others. All of it stays in namespaces of the run, which the chart is told to serve alone.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHART } from '../../../manifests/helm.ts';
import { appsConfigMap } from './build-apps.ts';
import type { Clients } from './clients.ts';
import { RESTRICTED } from './functions.ts';
import type { RunContext } from './settings.ts';

/** By this the runner finds all that any run has made. */
export const RUN_LABEL = 'slimfaas.dev/cluster-test';

export interface Release {
  /** Of the parts. */
  readonly system: string;
  /** Served by it, the first one is where functions go by default. */
  readonly functions: readonly string[];
}

/** The shared one. `restricted` enforces Pod Security, `limits` and `quota` are for the policies of that name. */
export function sharedRelease({ settings: { prefix } }: RunContext): Release {
  const functions = ['fn', 'restricted', 'limits', 'quota'].map((name) => `${prefix}-${name}`);
  return { system: prefix, functions };
}

export async function ensureSharedRelease(clients: Clients, context: RunContext): Promise<Release> {
  const release = sharedRelease(context);
  const mark = join(context.folder, 'shared-release');
  if (existsSync(mark)) return release;
  await installRelease(clients, context, release);
  await writeFile(mark, '');
  return release;
}

export async function makeNamespace(clients: Clients, context: RunContext, name: string): Promise<void> {
  const isRestricted = name.endsWith('-restricted');
  const labels = {
    [RUN_LABEL]: context.settings.prefix,
    ...(isRestricted ? { 'pod-security.kubernetes.io/enforce': 'restricted' } : {}),
  };
  await clients.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
    await appsConfigMap(join(context.folder, 'apps'), name),
  );
}

export interface InstallOptions {
  readonly chart?: string;
  readonly image?: string;
  /** Of the chart, beside those that every release of a run has. */
  readonly values?: object;
  readonly verb?: 'install' | 'upgrade';
}

/** Installs and waits until everything is ready. */
export async function installRelease(
  clients: Clients,
  context: RunContext,
  release: Release,
  { chart = CHART, image = context.settings.image, values = {}, verb = 'install' }: InstallOptions = {},
): Promise<void> {
  const { settings } = context;
  const namespaces = [release.system, ...release.functions];
  if (verb === 'install') for (const name of namespaces) await makeNamespace(clients, context, name);
  // An earlier chart may not know it.
  const hosts = chart === CHART ? { functionHosts: ['*.example.com'] } : {};
  const own = { ...baseValues(image), ...hosts, namespaces };
  const files = settings.values.flatMap((file) => ['--values', file]);
  const where = ['--namespace', release.system, '--values', '-', ...files];
  const rest = [...where, ...setFlags(values), '--wait', '--timeout', '150s'];
  await clients.helm([verb, 'slimfaas', chart, ...rest], { input: JSON.stringify(own), timeoutMs: 200_000 });
}

/** What keeps a test installation small. */
function baseValues(image: string): object {
  const at = image.lastIndexOf(':');
  const small = { requests: { cpu: '10m', memory: '64Mi' } };
  return {
    image: { repository: image.slice(0, at), tag: image.slice(at + 1) },
    nats: { storage: { size: '1Gi' }, resources: small },
    proxy: { resources: small },
    scaler: { resources: small },
    // So that a test need not wait for minutes.
    webhook: {
      resources: small,
      flags: { 'certificate-check-seconds': 5, 'certificate-settle-seconds': 10 },
    },
  };
}

/** Values of one test are set last, so that they win over files. */
function setFlags(values: object): string[] {
  return Object.entries(values).flatMap(([name, value]) => [
    '--set-json',
    `${name}=${JSON.stringify(value)}`,
  ]);
}

/** Uninstalls it and deletes its namespaces, without waiting for their end. */
export async function removeRelease(clients: Clients, { system, functions }: Release): Promise<void> {
  await clients.tryHelm(['uninstall', 'slimfaas', '--namespace', system]);
  await clients.tryKubectl([
    'delete',
    'namespace',
    system,
    ...functions,
    '--wait=false',
    '--ignore-not-found',
  ]);
}

/** What a run makes outside of its namespaces without Helm. */
const CLUSTER_KINDS = 'clusterroles,clusterrolebindings,mutatingwebhookconfigurations';

/** Takes away what the run labelled, also that of a run that was killed. @param prefix undefined: of every run */
export async function removeRuns(clients: Clients, prefix?: string): Promise<void> {
  const selector = prefix === undefined ? RUN_LABEL : `${RUN_LABEL}=${prefix}`;
  const query = `/api/v1/namespaces?labelSelector=${encodeURIComponent(selector)}`;
  const names = (await clients.list(query)).map(({ metadata }) => metadata.name);
  for (const name of names) {
    const uninstall = ['uninstall', 'slimfaas', '--namespace', name, '--ignore-not-found'];
    const { code, stderr } = await clients.tryHelm(uninstall);
    if (code !== 0) console.error(`helm uninstall in ${name}: ${stderr}`);
  }
  await clients.tryKubectl(['delete', CLUSTER_KINDS, '--selector', selector]);
  if (names.length > 0)
    await clients.tryKubectl(['delete', 'namespace', ...names, '--timeout=150s'], { timeoutMs: 170_000 });
  const isOurs = (name: string) =>
    names.includes(name) || (prefix !== undefined && name.startsWith(`${prefix}-`));
  await freeVolumes(clients, isOurs);
}

/**
 * Gives a release volumes that hold nothing, before it is installed. Charts before identities do not start on the
 * streams of an account, and a volume that is claimed again has those of the release before.
 */
export async function makeEmptyVolumes(
  clients: Clients,
  context: RunContext,
  { system: namespace }: Release,
  claims: readonly string[] = ['data-slimfaas-nats-0'],
): Promise<void> {
  await makeNamespace(clients, context, namespace);
  await freeVolumes(clients, (name) => name.startsWith(`${context.settings.prefix}-`), 'Released');
  const container = {
    name: 'empty',
    image: context.settings.image,
    command: ['node', '-e', EMPTY, ...claims],
    securityContext: { ...RESTRICTED, runAsUser: 1_000 }, // as NATS runs
    volumeMounts: claims.map((name) => ({ name, mountPath: `/${name}` })),
  };
  await clients.apply(
    ...claims.map((name) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    })),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'empty', namespace },
      spec: {
        restartPolicy: 'OnFailure',
        containers: [container],
        volumes: claims.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
      },
    },
  );
  await clients.kubectl([
    'wait',
    '-n',
    namespace,
    '--for=jsonpath={.status.phase}=Succeeded',
    'pod/empty',
    '--timeout=60s',
  ]);
  await clients.kubectl(['delete', 'pod', 'empty', '-n', namespace]);
}

const EMPTY = `for (const claim of process.argv.slice(1))
  require('node:fs').rmSync('/' + claim + '/jetstream', { recursive: true, force: true })`;

interface VolumeSpec {
  readonly claimRef?: { readonly namespace: string };
  readonly persistentVolumeReclaimPolicy: string;
}

/**
 * A volume that outlives its claim (policy Retain) can be claimed again; what is on it is worth nothing.
 * @param phase those in this one alone; absent: all
 */
export async function freeVolumes(
  clients: Clients,
  isOurs: (namespace: string) => boolean,
  phase?: 'Released',
): Promise<void> {
  for (const volume of await clients.list('/api/v1/persistentvolumes')) {
    const { claimRef, persistentVolumeReclaimPolicy: policy } = volume['spec'] as VolumeSpec;
    if (!claimRef || !isOurs(claimRef.namespace) || policy !== 'Retain') continue;
    if (phase !== undefined && volume['status']?.phase !== phase) continue;
    const path = `/api/v1/persistentvolumes/${volume.metadata.name}`;
    await clients.send('PATCH', path, { spec: { claimRef: null } }, 'application/merge-patch+json');
  }
}
