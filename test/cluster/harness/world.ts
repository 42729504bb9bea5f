/**
 * What a cluster test sees and does: apply, call, watch. `openWorld()` is the first line of each file; what a test
 * deploys is deleted when it ends.
 */
import { after } from 'node:test';
import { send, type Answer, type CallInit } from '../../helpers/send.ts';
import { waitFor } from '../../helpers/wait.ts';
import { openCaller, type Caller } from './caller.ts';
import { createClients, type Clients, type KubeObject } from './clients.ts';
import { plainWorkload, workload, type FunctionSpec } from './functions.ts';
import { openReach, type Reach } from './reach.ts';
import { ensureSharedRelease, type Release } from './release.ts';
import { readContext, type RunContext } from './settings.ts';

export interface World extends Clients {
  readonly context: RunContext;
  readonly release: Release;
  /** Namespace of the functions. */
  readonly namespace: string;
  /** The proxy's, as this process reaches it: `http://host:port`, `host:port`. */
  readonly proxyUrl: string;
  readonly proxyHost: string;
  /** The proxy's, as a pod reaches it. */
  readonly insideUrl: string;
  /** The same world with functions in another of the release's namespaces. */
  in(namespace: string): World;
  /** Applies a function, and waits until the proxy knows it (not of a private one: it tells nobody outside). Disposing deletes it. */
  deploy(spec: FunctionSpec): Promise<Deployed>;
  /** Applies the same workload without the annotations of a function. */
  deployPlain(spec: FunctionSpec): Promise<Deployed>;
  /** `/function/<name>.<namespace><path>` */
  call(name: string, path?: string, init?: CallInit): Promise<Answer>;
  /** The caller inside the cluster. */
  caller(): Promise<Caller>;
}

export interface Deployed extends AsyncDisposable {
  readonly name: string;
  /** As the proxy knows it: `name.namespace`. */
  readonly route: string;
  read(): Promise<KubeObject>;
  replicas(): Promise<number>;
  /** Those that are not being deleted. */
  pods(): Promise<KubeObject[]>;
  allPods(): Promise<KubeObject[]>;
  /** Changes its workload: a merge patch. */
  patch(change: object): Promise<void>;
  waitForReplicas(count: number, timeoutMs?: number): Promise<void>;
  waitForReady(count: number, timeoutMs?: number): Promise<void>;
}

/** Of the shared release. Call it at the top of a file. */
export async function openWorld(): Promise<World> {
  const context = readContext();
  const clients = createClients(context.settings, context.apiUrl);
  const release = await ensureSharedRelease(clients, context);
  return openWorldOf(clients, context, release);
}

export async function openWorldOf(clients: Clients, context: RunContext, release: Release): Promise<World> {
  const reach = await openReach(clients, context, release.system, 'slimfaas-proxy', 5000);
  after(() => reach.close());
  // Helm waits for calls alone: a proxy may come to NATS, and so to jobs, a moment later.
  await until(async () => {
    const { status } = await send(`http://${reach.host}:${reach.port}/ready`);
    return status === 200;
  }, 'the proxy is ready for jobs too');
  return createWorld(clients, context, release, reach, release.functions[0] as string);
}

function createWorld(
  clients: Clients,
  context: RunContext,
  release: Release,
  reach: Reach,
  namespace: string,
): World {
  const proxyHost = `${reach.host}:${reach.port}`;
  const proxyUrl = `http://${proxyHost}`;
  const world: World = {
    ...clients,
    context,
    release,
    namespace,
    proxyUrl,
    proxyHost,
    insideUrl: `http://slimfaas-proxy.${release.system}:5000`,
    in: (other) => createWorld(clients, context, release, reach, other),
    async deploy(spec) {
      await clients.apply(workload(context.settings, namespace, spec));
      const deployed = createDeployed(world, spec);
      if (spec.annotations?.['DefaultVisibility'] === 'Private') return deployed;
      await waitFor(
        async () => (await send(`${proxyUrl}/status-function/${deployed.route}`)).status === 200,
        {
          what: `the proxy knows ${deployed.route}`,
          intervalMs: 50,
        },
      );
      return deployed;
    },
    async deployPlain(spec) {
      await clients.apply(plainWorkload(context.settings, namespace, spec));
      return createDeployed(world, spec);
    },
    call: (name, path = '/hello', init = {}) =>
      send(`${proxyUrl}/function/${name}.${namespace}${path}`, init),
    caller: () => openCaller(clients, context, namespace),
  };
  return world;
}

function createDeployed(world: World, { name, kind = 'Deployment' }: FunctionSpec): Deployed {
  const { namespace, ...clients } = world;
  const path = `/apis/apps/v1/namespaces/${namespace}/${kind.toLowerCase()}s/${name}`;
  const read = async (): Promise<KubeObject> => {
    const object = await clients.get(path);
    if (object === undefined) throw new Error(`${kind} ${namespace}/${name} is gone`);
    return object;
  };
  const replicas = async (): Promise<number> => (await read())['spec'].replicas;
  const allPods = () => clients.list(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${name}`);
  return {
    name,
    route: `${name}.${namespace}`,
    read,
    replicas,
    allPods,
    pods: async () => (await allPods()).filter(({ metadata }) => metadata.deletionTimestamp === undefined),
    async patch(change) {
      const { status, text } = await clients.send('PATCH', path, change, 'application/merge-patch+json');
      if (status !== 200) throw new Error(`patch of ${name}: ${status} ${text}`);
    },
    async waitForReplicas(count, timeoutMs = 30_000) {
      const isSo = async () => (await replicas()) === count;
      await until(isSo, `${name} has ${count} replicas`, timeoutMs).catch(async (error: unknown) => {
        throw new Error(await explain(world, name), { cause: error });
      });
    },
    waitForReady: (count, timeoutMs = 60_000) =>
      until(
        async () => ((await read())['status']?.readyReplicas ?? 0) === count,
        `${name} has ${count} ready replicas`,
        timeoutMs,
      ),
    async [Symbol.asyncDispose]() {
      await clients.send('DELETE', path);
    },
  };
}

/** What the release says of a function and of what it did with it, for the message of a test that fails. */
async function explain({ proxyUrl, namespace, release, kubectl }: World, name: string): Promise<string> {
  const read = (call: Promise<string>): Promise<string> =>
    call.catch((error: unknown) => `(${String(error)})`);
  const status = read(send(`${proxyUrl}/status-function/${name}.${namespace}`).then(({ body }) => body));
  const scalers = ['-n', release.system, '-l', 'app.kubernetes.io/component=scaler'];
  const logs = read(kubectl(['logs', ...scalers, '--prefix', '--tail=1000']));
  const pods = read(kubectl(['get', 'pods', '-n', namespace, '-l', `app=${name}`, '-o', 'wide']));
  const lines = (await logs)
    .split('\n')
    .filter((line) => line.includes(`"${name}"`) || line.includes(`${namespace}/${name}`));
  return `${name}: ${await status}\n${await pods}\n${lines.slice(-30).join('\n')}`;
}

/** Polls as often as an API server that others use too may be asked. */
export async function until(
  condition: () => Promise<boolean>,
  what: string,
  timeoutMs = 60_000,
): Promise<void> {
  await waitFor(condition, { what, timeoutMs, intervalMs: 200 });
}

/** What NATS has refused since it started: by its own log, so of whichever part or sidecar asked for it. */
export async function refusedOnNats(world: World, system: string): Promise<string[]> {
  const log = await world.kubectl(['logs', '-n', system, 'slimfaas-nats-0', '-c', 'nats']);
  return [...new Set(log.match(/(?:Publish|Subscription) Violation.*/g))];
}
