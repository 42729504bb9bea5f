/**
 * The library's configuration with what a cluster's operator expects of a client: a user agent that says which part it
 * is, and connections that are used again. The library makes a new TLS connection for each request, which a wake from
 * zero waits for. A connection pool lives ten minutes, so that a rotated CA or client certificate is taken up.
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

type Dispatcher = ReturnType<RequestContext['getDispatcher']>;

export class PartConfig extends KubeConfig {
  readonly userAgent: string;
  #pool: { readonly dispatcher: Dispatcher; readonly madeAtMs: number } | undefined;

  /** @param userAgent as `slimfaas-scaler/1.2.3` */
  constructor(userAgent: string) {
    super();
    this.userAgent = userAgent;
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
    const made = context.getDispatcher();
    if (made === undefined) return;
    const isOld = this.#pool === undefined || performance.now() - this.#pool.madeAtMs > POOL_LIFE_MS;
    if (isOld) this.#pool = { dispatcher: made, madeAtMs: performance.now() };
    else context.setDispatcher(this.#pool?.dispatcher as NonNullable<Dispatcher>);
  }
}
