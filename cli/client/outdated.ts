/**
 * `slimfaas status --outdated`: pods whose sidecar is of another image than the webhook injects now, as after an
 * upgrade. Also those that lack the identity of new ones, ask callers for another proof, or look for NATS elsewhere.
 * `--restart` rolls their workloads. Sidecars of the previous version keep working until then.
 * It asks Kubernetes alone: pods say what they carry, the webhook's Deployment says what is injected.
 */
import { isDeepStrictEqual } from 'node:util';
import type { FlagValues } from '../../common/runtime/flags.ts';
import type { V1Container, V1Pod } from '../../common/kube/client.ts';
import type { PodOwner } from '../../common/kube/model/ownership.ts';
import { sidecarVariable } from '../../common/kube/model/containers.ts';
import { hasEnded, injectedVersion, readPod } from '../../common/kube/model/pod.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { ANNOTATION } from '../../common/function/annotations/names.ts';
import { FUNCTION_LABEL } from '../../common/function/names.ts';
import { kubeFault, loadCluster, rolloutRestart, type ReachedCluster } from '../reach/cluster.ts';
import { chooseCluster } from '../reach/open-door.ts';
import type { Parsed } from '../parts/flag-options.ts';
import type { statusFlags } from '../people-flags.ts';
import { table } from './table.ts';

export interface OutdatedPod {
  readonly namespace: string;
  readonly pod: string;
  readonly owner: PodOwner;
  /** The version of slimfaas that injected it. */
  readonly version: string;
  readonly image: string;
}

export async function runOutdated(argv: Parsed, flags: FlagValues<typeof statusFlags>): Promise<void> {
  const cluster = loadCluster(await chooseCluster(flags));
  const now = await injected(cluster, flags['system-namespace']);
  const { image } = now;
  const name = argv['function'];
  const pods = (await functionPods(cluster, flags.namespace))
    .filter((pod) => typeof name !== 'string' || pod.metadata?.labels?.[FUNCTION_LABEL] === name)
    .flatMap((pod) => outdated(pod, image, now) ?? []);
  if (flags.json) console.log(JSON.stringify({ image, pods }, undefined, 2));
  else console.log(outdatedTable(pods, image));
  if (flags.restart && pods.length > 0) await webhookIsNew(cluster, flags['system-namespace'], now);
  if (flags.restart) for (const line of await restart(cluster, pods)) console.log(line);
}

/** What the webhook puts into pods that are made now. @throws Error when there is no webhook to ask */
async function injected({ apps }: ReachedCluster, namespace: string): Promise<Injected> {
  const name = 'slimfaas-webhook';
  const webhook = await apps.readNamespacedDeployment({ name, namespace }).catch((cause: unknown) => {
    throw new Error(`${namespace}/${name}: ${kubeFault(cause)}; --system-namespace says where slimfaas is`, {
      cause,
    });
  });
  const [container] = webhook.spec?.template.spec?.containers ?? [];
  const image = sidecarImage(container?.env);
  if (!container || image === undefined)
    throw new Error(`${namespace}/${name} does not say which sidecar it injects`);
  const { args = [] } = container;
  const hasIdentity = args.some((arg) => /^--auth=(permissive|required)$/.test(arg));
  const proof = args.find((arg) => arg.startsWith('--proxy-proof='))?.slice('--proxy-proof='.length);
  return { container, image, hasIdentity, proof: proof === 'off' ? undefined : proof, nats: natsOf(args) };
}

function natsOf(args: readonly string[]): string | undefined {
  return args.find((arg) => arg.startsWith(NATS_ARGUMENT))?.slice(NATS_ARGUMENT.length);
}

const NATS_ARGUMENT = '--sidecar-nats=';

/** What sidecars that are injected now show and ask. */
export interface Asks {
  /** They get what they need to show who they are. */
  readonly hasIdentity: boolean;
  /** What they ask of their callers: `permissive` or `required`; undefined: nothing. */
  readonly proof: string | undefined;
  /** Where they look for NATS; undefined: the webhook does not say. */
  readonly nats?: string | undefined;
}

interface Injected extends Asks {
  readonly image: string;
  /** The webhook's, as its pods are made now. */
  readonly container: V1Container;
}

/** While the webhook is rolled out the old one still answers: a pod made then would get the old sidecar again. */
async function webhookIsNew(
  { core }: ReachedCluster,
  namespace: string,
  { container }: Injected,
): Promise<void> {
  const labelSelector = 'app.kubernetes.io/name=slimfaas,app.kubernetes.io/component=webhook';
  const deadline = performance.now() + ROLLOUT_MS;
  while (performance.now() < deadline) {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector });
    if (!items.some((pod) => isOfOlderWebhook(pod, container))) return;
    await sleep(ROLLOUT_POLL_MS);
  }
  throw new Error(
    `after ${ROLLOUT_MS / 1_000} s pods of an older webhook are still there: nothing was restarted`,
  );
}

/**
 * Whatever it is told counts, as every flag may change what it injects. Somebody else may add variables to its pods.
 * @param template the webhook's container as it is made now
 */
export function isOfOlderWebhook(pod: V1Pod, template: V1Container): boolean {
  if (hasEnded(pod)) return false;
  const own = pod.spec?.containers.find(({ name }) => name === template.name);
  if (!isDeepStrictEqual(own?.args ?? [], template.args ?? [])) return true;
  return (template.env ?? []).some(({ name, value }) => {
    const given = own?.env?.find((variable) => variable.name === name);
    return !given || given.value !== value;
  });
}

const ROLLOUT_MS = 60_000;
const ROLLOUT_POLL_MS = 500;

function sidecarImage(env: readonly { name: string; value?: string }[] = []): string | undefined {
  return env.find(({ name }) => name === 'SLIMFAAS_SIDECAR_IMAGE')?.value;
}

async function functionPods({ core }: ReachedCluster, namespace: string): Promise<V1Pod[]> {
  const labelSelector = FUNCTION_LABEL;
  try {
    const list =
      namespace === ''
        ? await core.listPodForAllNamespaces({ labelSelector })
        : await core.listNamespacedPod({ namespace, labelSelector });
    return list.items;
  } catch (cause) {
    throw new Error(kubeFault(cause), { cause });
  }
}

/**
 * @param current the image that is injected now
 * @returns undefined: the pod is ending, has no sidecar, or has one such as is injected now
 */
export function outdated(object: V1Pod, current: string, asks: Asks = NOTHING): OutdatedPod | undefined {
  const pod = readPod(object);
  if (!pod?.sidecar || pod.isTerminating) return undefined;
  const { namespace, name, owner, sidecar } = pod;
  const { image = '' } = sidecar;
  const isCurrent = image === (pod.annotations[ANNOTATION.sidecarImage] ?? current);
  const hasIdentity = !asks.hasIdentity || sidecarVariable(sidecar, 'grant') !== undefined;
  const hasProof = sidecarVariable(sidecar, 'proxy-proof') === asks.proof;
  const nats = sidecarVariable(sidecar, 'nats');
  const hasNats = nats === undefined || asks.nats === undefined || nats === asks.nats;
  if (isCurrent && hasIdentity && hasProof && hasNats) return undefined;
  return { namespace, pod: name, owner, version: injectedVersion(pod) ?? '?', image };
}

const NOTHING: Asks = { hasIdentity: false, proof: undefined };

export function outdatedTable(pods: readonly OutdatedPod[], image: string): string {
  if (pods.length === 0) return `every sidecar is ${image}`;
  const rows = pods.map((p) => [p.namespace, p.pod, ownerText(p.owner), p.version, p.image]);
  const heading = ['NAMESPACE', 'POD', 'OF', 'VERSION', 'IMAGE'];
  return `${table([heading, ...rows])}\n\n${pods.length} pods have another sidecar than is injected now: ${image}`;
}

function ownerText(owner: PodOwner): string {
  return owner.kind === 'Other' ? '' : `${owner.kind.toLowerCase()}/${owner.id.name}`;
}

/** Each workload once, as `kubectl rollout restart` does it. @returns what was done, one line each */
async function restart(cluster: ReachedCluster, pods: readonly OutdatedPod[]): Promise<string[]> {
  const done = new Map<string, string>();
  for (const { namespace, pod, owner } of pods) {
    const key = owner.kind === 'Other' ? `pod/${pod}` : ownerText(owner);
    const full = `${namespace}/${key}`;
    if (!done.has(full)) done.set(full, await restartOne(cluster, owner));
  }
  return [...done].map(([what, outcome]) => `${what}: ${outcome}`);
}

async function restartOne(cluster: ReachedCluster, owner: PodOwner): Promise<string> {
  if (owner.kind === 'Other') return 'not restarted: neither a Deployment nor a StatefulSet has made it';
  try {
    await rolloutRestart(cluster, owner.kind, owner.id);
    return 'restarted';
  } catch (error) {
    return `not restarted: ${kubeFault(error)}`;
  }
}
