/**
 * The API server of the local cluster: HTTPS in front of an in-memory store. What it gives up: it keeps
 * nothing over a restart, knows one version of each kind, and one node's worth of load.
 * `docs/internals/local-cluster.md` lists what is faithful and what is not.
 *
 * Room `packages/local-cluster/api`: The API server: store, admission, watches.
 * Comes in: HTTPS requests.
 * Goes out: objects and events.
 */
import { createServer } from 'node:https';
import { sleep } from '../../../../common/runtime/lifecycle.ts';
import type { Running } from '../../../../common/runtime/lifecycle.ts';
import type { Log } from '../../../../common/runtime/log.ts';
import { AdmissionChain } from '../admission/admission.ts';
import { ADMIN, serviceAccountName, ServiceAccountTokens, type IssueOptions } from './auth.ts';
import { createServerIdentity } from './certificates.ts';
import { createClusterApi } from './cluster-api.ts';
import { ApiConnections, listenToApiClients } from './connections.ts';
import { kubeconfig } from './kubeconfig.ts';
import { Registry } from '../objects/registry.ts';
import { createRouter } from './router.ts';
import { loadDecoder } from '../objects/schema.ts';
import { seed } from '../objects/seed.ts';
import { Store } from '../objects/store.ts';
import type { ClusterApi } from '../objects/types.ts';
import { Watches } from '../objects/watch.ts';
import { WebhookCaller } from '../admission/webhook-call.ts';
import type { RuntimeHooks } from '../verbs/runtime-hooks.ts';

export interface ApiServerOptions {
  /** A loopback address. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly log: Log;
}

/** Faults on request. They concern clients over HTTPS; the in-process {@link ClusterApi} always works. */
export interface ApiFailures {
  /** True: every open connection is reset and every new one too, until false. */
  setAway(isAway: boolean): void;
  /** Ends the sockets of all open watches, as a restarting API server or a load balancer does. */
  cutWatches(): void;
  /** Every resourceVersion and continue token handed out so far is too old: 410 Gone, until a new list. */
  expireWatches(): void;
  /** Each request waits that long before it is looked at; 0 ends it. */
  setDelay(ms: number): void;
}

export interface ApiServer extends Running {
  /** In-process access with the rights of the control plane; admission, validation and quota still apply. */
  readonly api: ClusterApi;
  readonly url: string;
  /** The CA that signed the server's certificate. */
  readonly caPem: string;
  /**
   * YAML for `kubectl` and client-node. `user`: `admin` (default, may do everything), a service account as
   * `system:serviceaccount:<namespace>:<name>` (RBAC applies), or any other user name (RBAC applies).
   */
  kubeconfig(user?: string): string;
  /** A bearer token, valid for as long as the server runs; the service account need not exist yet. */
  serviceAccountToken(namespace: string, name: string, options?: IssueOptions): string;
  readonly failures: ApiFailures;
  attachRuntime(hooks: RuntimeHooks): void;
}

/** Idle connections are kept longer than any client keeps them, so that no request meets a closing one. */
const API_KEEP_ALIVE_MS = 600_000;

/** Everything but the network: what would work the same behind another door. */
function createCore(log: Log) {
  let hooks: RuntimeHooks = {};
  const store = new Store();
  const caller = new WebhookCaller(() => hooks.resolveService);
  const registry = new Registry(store, new AdmissionChain({ store, caller, log }));
  const tokens = new ServiceAccountTokens();
  const watches = new Watches(store);
  const issueToken = (namespace: string, name: string, options?: IssueOptions) =>
    tokens.issue(serviceAccountName(namespace, name), options);
  const router = createRouter({ registry, watches, tokens, log, issueToken, hooks: () => hooks });
  const attachRuntime = (more: RuntimeHooks) => void (hooks = { ...hooks, ...more });
  return { store, caller, registry, tokens, watches, issueToken, router, attachRuntime };
}

/** Rejects with the system's error (EADDRINUSE …) when the address cannot be had. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { store, caller, registry, tokens, watches, ...core } = createCore(options.log);
  // 127.0.0.1 too: it is how a port forwarded from elsewhere would be called.
  const identity = await createServerIdentity([...new Set([options.host, '127.0.0.1'])]);
  await seed(registry);
  const { caPem, certPem: cert, keyPem: key } = identity;
  let delayMs = 0;
  const server = createServer(
    { cert, key, keepAliveTimeout: API_KEEP_ALIVE_MS },
    async (request, response) => {
      if (delayMs > 0) await sleep(delayMs);
      await core.router(request, response);
    },
  );
  const connections = new ApiConnections(server);
  const url = await listenToApiClients(server, options);
  // The first write should not pay for it; a failure is that write's to report.
  void loadDecoder().catch(() => undefined);

  return {
    api: createClusterApi(registry, options.log),
    url,
    caPem,
    serviceAccountToken: core.issueToken,
    kubeconfig: (user = ADMIN.username) => kubeconfig({ url, caPem, user, token: tokens.issue(user) }),
    failures: {
      setAway: (isAway) => connections.setAway(isAway),
      cutWatches: () => watches.cut(),
      expireWatches: () => store.forgetHistory(),
      setDelay: (ms) => void (delayMs = ms),
    },
    attachRuntime: core.attachRuntime,
    async stop() {
      caller.close();
      const closed = new Promise((resolve) => server.close(resolve));
      connections.reset();
      await closed;
    },
  };
}
