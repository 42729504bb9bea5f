/**
 * `slimfaas canary promote <function>`: the function gets the pods of its canary, and then the canary gets no more
 * calls. By the kubeconfig and rights of whoever runs it. Objects are read and written as the API server has them: a
 * typed client would leave fields out that it does not know.
 */
import { UsageError } from '../../common/runtime/errors.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { WorkloadKind } from '../../common/function/spec.ts';
import type { V1Deployment, V1StatefulSet } from '../../common/kube/client.ts';
import { isRolledOut, readWorkload } from '../../common/kube/model/workload.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { promoteFlags } from '../people-flags.ts';
import { loadCluster, type ReachedCluster } from '../reach/cluster.ts';
import { askApi } from '../reach/cluster-door.ts';
import { chooseCluster } from '../reach/open-door.ts';
import {
  endingPatch,
  obstacleOf,
  obstacleTo,
  obstacleToEnd,
  promotingPatch,
  promotionText,
} from './promotion.ts';

type WorkloadObject = V1Deployment | V1StatefulSet;

interface Found {
  readonly kind: WorkloadKind;
  readonly object: WorkloadObject;
}

const POLL_MS = 500;
const RESOURCE = { Deployment: 'deployments', StatefulSet: 'statefulsets' } as const;

export async function runPromote(argv: Parsed): Promise<void> {
  const flags = flagValues(promoteFlags, argv);
  const workloads = new Workloads(loadCluster(await chooseCluster(flags)), flags['dry-run']);
  const id = workloads.idOf(String(argv['function']), flags.namespace);
  const canary = await workloads.find(id);
  const found = obstacleTo(canary.kind, canary.object, flags.force);
  if ('obstacle' in found) throw new Error(`${id.namespace}/${id.name} is not promoted: ${found.obstacle}`);
  const of = { namespace: id.namespace, name: found.of };
  const stable = await workloads.read(canary.kind, of);
  if (!stable) throw new Error(`there is no ${canary.kind} ${of.namespace}/${of.name}, as the canary is`);
  const obstacle = obstacleOf(canary.kind, stable, flags.force);
  if (obstacle !== undefined) throw new Error(`${of.namespace}/${of.name} is not changed: ${obstacle}`);

  const changes = promotionText(stable, canary.object);
  for (const line of changes) console.log(`${of.name}: ${line}`);
  if (changes.length === 0) console.log(`${of.name}: nothing changes, its pods are the canary’s already`);
  await workloads.patch(canary.kind, of, promotingPatch(stable, canary.object));
  if (flags['dry-run']) return console.log('dry run: the API server would allow it; nothing was changed');
  console.log(`${of.name}: has the pods of ${id.name}; waiting until they run`);
  await workloads.rolledOut(canary.kind, of, flags);
  await workloads.end(id, canary, flags.force);
  console.log(`${id.name}: gets no more calls of ${of.name}, until another version of it is deployed`);
  console.log('Change your manifests too: the next apply of old ones brings the old version back.');
}

class Workloads {
  readonly #cluster: ReachedCluster;
  readonly #isDryRun: boolean;

  constructor(cluster: ReachedCluster, isDryRun: boolean) {
    this.#cluster = cluster;
    this.#isDryRun = isDryRun;
  }

  /** `NAME.NAMESPACE`, or a name with --namespace, or one of the context's namespace. @throws UsageError for two namespaces */
  idOf(text: string, namespace: string): FunctionId {
    const dot = text.lastIndexOf('.');
    const [name, own] = dot > 0 ? [text.slice(0, dot), text.slice(dot + 1)] : [text, ''];
    if (own !== '' && namespace !== '' && own !== namespace)
      throw new UsageError(`${text} names a namespace already; leave --namespace ${namespace} out`);
    const { config } = this.#cluster;
    const ofContext = config.getContextObject(config.getCurrentContext())?.namespace;
    return { name, namespace: own || namespace || ofContext || 'default' };
  }

  async find(id: FunctionId): Promise<Found> {
    for (const kind of ['Deployment', 'StatefulSet'] as const) {
      const object = await this.read(kind, id);
      if (object) return { kind, object };
    }
    throw new Error(`there is no Deployment and no StatefulSet ${id.namespace}/${id.name}`);
  }

  /** Undefined where there is none. */
  async read(kind: WorkloadKind, id: FunctionId): Promise<WorkloadObject | undefined> {
    const response = await askApi(this.#cluster, pathOf(kind, id));
    if (response.status === 404) return undefined;
    return (await answerOf(response)) as WorkloadObject;
  }

  /** @param body a list: a JSON patch; else a merge patch */
  async patch(kind: WorkloadKind, id: FunctionId, body: object): Promise<void> {
    const type = Array.isArray(body) ? 'json-patch' : 'merge-patch';
    const query = `?fieldManager=slimfaas-cli${this.#isDryRun ? '&dryRun=All' : ''}`;
    const response = await askApi(this.#cluster, `${pathOf(kind, id)}${query}`, {
      method: 'PATCH',
      headers: { 'content-type': `application/${type}+json` },
      body: JSON.stringify(body),
    });
    await answerOf(response);
  }

  /** The canary gets no more calls. @throws Error if it is another one by now, or was ended by others */
  async end(id: FunctionId, { kind, object }: Found, isForced: boolean): Promise<void> {
    const now = await this.read(kind, id);
    const obstacle = obstacleToEnd(object, now, { kind, isForced });
    if (!now || obstacle !== undefined)
      throw new Error(`the function has the pods, and ${id.namespace}/${id.name} is not ended: ${obstacle}`);
    await this.patch(kind, id, endingPatch(kind, now, new Date().toISOString()));
  }

  /** At zero there is no pod that could show that they run: it is waited for one, unless forced. */
  async rolledOut(
    kind: WorkloadKind,
    id: FunctionId,
    flags: { timeout: number; force: boolean },
  ): Promise<void> {
    const timeoutSeconds = flags.timeout;
    const deadline = performance.now() + timeoutSeconds * 1_000;
    for (;;) {
      const object = await this.read(kind, id);
      if (object && isRolledOut(object) && (flags.force || readWorkload(kind, object).replicas > 0)) return;
      if (performance.now() > deadline)
        throw new Error(
          `after ${timeoutSeconds} s the pods of ${id.namespace}/${id.name} do not all run the new version; the canary takes its part as before. Look at its pods, then run this again, or kubectl rollout undo ${RESOURCE[kind]}/${id.name}`,
        );
      await sleep(POLL_MS);
    }
  }
}

function pathOf(kind: WorkloadKind, { namespace, name }: FunctionId): string {
  return `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/${RESOURCE[kind]}/${encodeURIComponent(name)}`;
}

async function answerOf(response: Response): Promise<unknown> {
  const text = await response.text();
  const body = parse(text);
  if (response.ok) return body;
  const { message } = (body ?? {}) as { message?: string };
  throw new Error(`the API server answered ${response.status}: ${message ?? text.slice(0, 200)}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
