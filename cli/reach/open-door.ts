/**
 * How the commands reach a part: at a given address, or through the API server of a cluster, as kubectl would. So
 * nothing need be forwarded or published first. Which of them, in this order:
 *
 * 1. the address flag of the part (`--proxy-url` …);
 * 2. `--kubeconfig`, `--context` or KUBECONFIG: that cluster;
 * 3. inside a pod: the part's Service;
 * 4. the cluster of a `slimfaas local` that runs on this machine;
 * 5. ~/.kube/config, where there is one;
 * 6. 127.0.0.1, where `kubectl port-forward` answers.
 *
 * Room `cli/reach`: How the commands reach a part of an installation.
 * Comes in: flags, kubeconfig.
 * Goes out: a way to a part, with a token where it asks for one.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../common/runtime/errors.ts';
import type { ClusterFlags } from '../people-flags.ts';
import { findRunningLocal } from './running-local.ts';
import { showingToken, tokenSource } from './identity.ts';
import type { Door, PartAddress } from './door.ts';

/**
 * @param url what the part's flag says; empty: look for it
 * @throws UsageError for a URL that is none, and for a kubeconfig or context that is not there
 */
export async function openDoor(
  part: PartAddress,
  url: string,
  flags: ClusterFlags,
  env: Environment = process.env,
): Promise<Door> {
  const isInside = Boolean(env['KUBERNETES_SERVICE_HOST']);
  const chosen = await chooseCluster(flags, env);
  const hasCluster =
    chosen.kubeconfig !== '' ||
    chosen.context !== '' ||
    Boolean(env['KUBECONFIG']) ||
    (!isInside && existsSync(join(homedir(), '.kube/config')));
  const door = await doorTo(part, chosen, { url, isInside, hasCluster });
  return showingToken(door, tokenSource(chosen, hasCluster));
}

/** A local cluster that runs here counts as if it were named, where no other one is. */
export async function chooseCluster(
  flags: ClusterFlags,
  env: Environment = process.env,
): Promise<ClusterFlags> {
  const isNamed = flags.kubeconfig !== '' || flags.context !== '' || Boolean(env['KUBECONFIG']);
  if (isNamed || env['KUBERNETES_SERVICE_HOST']) return flags;
  const kubeconfig = await findRunningLocal();
  return kubeconfig === undefined ? flags : { ...flags, kubeconfig };
}

interface Way {
  readonly url: string;
  readonly isInside: boolean;
  readonly hasCluster: boolean;
}

async function doorTo(part: PartAddress, flags: ClusterFlags, { url, isInside, hasCluster }: Way) {
  if (url !== '') return directDoor(part, url);
  if (!hasCluster)
    return directDoor(part, isInside ? urlInside(part, flags) : `http://127.0.0.1:${part.port}`);
  const { openClusterDoor } = await import('./cluster-door.ts');
  return openClusterDoor(part, flags);
}

function urlInside({ component, port, hasService }: PartAddress, flags: ClusterFlags): string {
  return hasService
    ? `http://slimfaas-${component}.${flags['system-namespace']}:${port}`
    : `http://127.0.0.1:${port}`;
}

function directDoor({ component, flag }: PartAddress, url: string): Door {
  const base = url.replace(/\/$/, '');
  if (!/^https?:\/\//.test(base) || !URL.canParse(base))
    throw new UsageError(`${flag}: ${JSON.stringify(url)} is not a URL; use http://host:port`);
  return {
    name: base,
    async fetch(path, init) {
      try {
        return await fetch(`${base}${path}`, { redirect: 'manual', ...init });
      } catch (cause) {
        const advice = `is the ${component} there? ${flag} names its address, KUBECONFIG its cluster`;
        throw new Error(`no answer from ${base}${path}; ${advice}`, { cause });
      }
    },
  };
}

export type Environment = Readonly<Record<string, string | undefined>>;
