/**
 * The token that a command shows where a route asks for one. It is made for slimfaas alone: what the kubeconfig holds is
 * good for the whole cluster, and is never sent to a part. Kubernetes makes such tokens for service accounts only, so a
 * person uses one that they may ask a token for. What they may do is what that account may do.
 */
import { readFile } from 'node:fs/promises';
import { ACCESS_AUDIENCE } from '../../common/access/gate.ts';
import { TOKEN_HEADER } from '../../common/access/token.ts';
import { HEADER } from '../../common/function/names.ts';
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { ClusterFlags } from '../people-flags.ts';
import type { Door } from './door.ts';

/** The shortest that Kubernetes gives. */
const COMMAND_TOKEN_SECONDS = 600;

/** Undefined: there is none to show. */
export type TokenSource = () => Promise<string | undefined>;

/** Asks without a token first: most routes need none, and then nobody needs the right to one. */
export function showingToken(door: Door, tokenOf: TokenSource): Door {
  let shown: string | undefined;
  return {
    name: door.name,
    async fetch(path, init = {}) {
      const ask = (): Promise<Response> => {
        const headers = new Headers(init.headers ?? {});
        if (shown !== undefined) headers.set(TOKEN_HEADER, `Bearer ${shown}`);
        return door.fetch(path, { ...init, headers });
      };
      const answer = await ask();
      const isAsked = answer.status === 401 && answer.headers.get(HEADER.reason) === 'unauthenticated';
      if (!isAsked || shown !== undefined) return answer;
      const token = await tokenOf();
      if (token === undefined) return answer;
      await answer.body?.cancel();
      shown = token;
      return ask();
    },
  };
}

/** @param hasCluster a kubeconfig says which API server to ask */
export function tokenSource(flags: ClusterFlags, hasCluster: boolean): TokenSource {
  if (flags['token-file'] !== '') return () => tokenIn(flags['token-file']);
  return hasCluster ? () => requestToken(flags) : async () => undefined;
}

async function tokenIn(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new UsageError(`--token-file: ${describeError(cause)}`, { cause });
  }
}

/** @throws Error with what the API server says */
async function requestToken(flags: ClusterFlags): Promise<string> {
  const { kubeFault, loadCluster } = await import('./cluster.ts');
  const { namespace, name } = accountOf(flags);
  const spec = { audiences: [ACCESS_AUDIENCE], expirationSeconds: COMMAND_TOKEN_SECONDS };
  try {
    const { core } = loadCluster(flags);
    const { status } = await core.createNamespacedServiceAccountToken({ namespace, name, body: { spec } });
    if (status?.token) return status.token;
    throw new Error('the answer has none');
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new Error(
      `no token of the service account ${namespace}/${name}: ${kubeFault(cause)}; --as-service-account names another, --token-file a file with a token`,
      { cause },
    );
  }
}

function accountOf(flags: ClusterFlags): { namespace: string; name: string } {
  const parts = flags['as-service-account'].split('/');
  const [name = '', namespace = flags['system-namespace']] = parts.toReversed();
  if (parts.length <= 2 && name !== '' && namespace !== '') return { namespace, name };
  throw new UsageError(
    `--as-service-account: ${JSON.stringify(flags['as-service-account'])} is not NAME or NAMESPACE/NAME`,
  );
}
