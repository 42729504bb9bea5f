/**
 * The library's configuration with what a cluster's operator expects of a client. It has a user agent that names the
 * part, and connections that are used again. The library makes a new TLS connection for each request, which a wake
 * from zero waits for. A connection pool lives ten minutes, so that a rotated CA or client certificate is taken up.
 * And each request has a time for its whole answer, where the library waits 300 s for a first byte.
 */
import {
  createConfiguration,
  KubeConfig,
  ServerConfiguration,
  setHeaderMiddleware,
  type Configuration,
  type RequestContext,
} from '@kubernetes/client-node';

const POOL_LIFE_MS = 600_000;
/**
 * For a request that has no timeout of its own. A page of a list is at most some megabytes, and an API server that
 * has just started may need seconds for it. A watch has its own clocks (bookmark-watch.ts).
 */
const KUBE_REQUEST_MS = 30_000;

type Dispatcher = ReturnType<RequestContext['getDispatcher']>;

export class PartConfig extends KubeConfig {
  readonly userAgent: string;
  readonly #requestMs: number;
  #pool: { readonly dispatcher: Dispatcher; readonly madeAtMs: number } | undefined;

  /** @param userAgent as `slimfaas-scaler/1.2.3` */
  constructor(userAgent: string, requestMs = KUBE_REQUEST_MS) {
    super();
    this.userAgent = userAgent;
    this.#requestMs = requestMs;
  }

  override makeApiClient<T>(clientType: new (configuration: Configuration) => T): T {
    const cluster = this.getCurrentCluster();
    if (!cluster) throw new Error('no current cluster in the Kubernetes configuration');
    return new clientType(
      createConfiguration({
        baseServer: new ServerConfiguration(cluster.server, {}),
        authMethods: { default: this },
        middleware: [setHeaderMiddleware('User-Agent', this.userAgent)],
      }),
    );
  }

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context);
    // Before a caller's own middleware, which may set a shorter one.
    context.setSignal(AbortSignal.timeout(this.#requestMs));
    const made = context.getDispatcher();
    if (made === undefined) return;
    const isOld = this.#pool === undefined || performance.now() - this.#pool.madeAtMs > POOL_LIFE_MS;
    if (isOld) this.#pool = { dispatcher: made, madeAtMs: performance.now() };
    else context.setDispatcher(this.#pool?.dispatcher as NonNullable<Dispatcher>);
  }
}
