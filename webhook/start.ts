/**
 * The webhook as a whole: certificates, the TLS server, health and metrics. It is ready when a certificate is
 * loaded and caBundle carries its CA, because only then can the API server reach it.
 */
import type { FlagValues } from '../common/runtime/flags.ts';
import type { KubeClients } from '../common/kube/client.ts';
import { STOP_LIMIT_MS, StopStack, type Running } from '../common/runtime/lifecycle.ts';
import type { Log } from '../common/runtime/log.ts';
import type { Registry } from '../common/runtime/metrics.ts';
import { VERSION } from '../common/runtime/version.ts';
import { startAdmin } from './admin.ts';
import { keepCertificate } from '../common/tls/certificate-keeper.ts';
import type { CertificateSource, KeyPair } from '../common/tls/key-pair.ts';
import { fileCertificates } from './certificates/file-certificates.ts';
import { annotationDefaults } from '../common/function/services-flags.ts';
import { sidecarDefaultsOf, type webhookFlags } from './flags.ts';
import { randomToken, type InjectOptions } from './inject/inject.ts';
import { certificateCluster } from './kube.ts';
import { createWebhookMetrics } from './metrics.ts';
import { ownCertificates } from './certificates/own-certificates.ts';
import type { RotationPolicy } from './certificates/rotation.ts';
import { createReviewServer, type ReviewServer } from './server.ts';
import { expiryOf } from './certificates/x509.ts';
import { identityOptions, issuerOf } from './issuer/of-config.ts';
import type { Issuer } from './issuer/issuer.ts';
import { keepProxyKeys, type ProxyKeys } from './proof/keep-proxy-keys.ts';

export type WebhookConfig = FlagValues<typeof webhookFlags>;

export interface WebhookDeps {
  readonly log: Log;
  readonly kube: KubeClients;
  readonly registry: Registry;
  readonly now?: () => number;
}

export interface RunningWebhook extends Running {
  readonly adminPort: number;
  /** undefined until the first certificate. */
  readonly port: number | undefined;
  /** The same; undefined without an issuer too. */
  readonly issuerPort: number | undefined;
}

const DAY_MS = 86_400_000;

/** Resolves when health and metrics answer; readiness follows by itself, and is retried forever. */
export async function startWebhook(config: WebhookConfig, deps: WebhookDeps): Promise<RunningWebhook> {
  const { log, registry } = deps;
  const stops = new StopStack(log, config['stop-delay-seconds'] * 1_000 + STOP_LIMIT_MS);
  const metrics = createWebhookMetrics(registry);
  const stopping = new AbortController();
  const { host, port } = config;
  const issuer = issuerOf(config, deps, metrics);
  if (issuer) stops.add('issuer', () => issuer.stop());
  const proxyKeys = keepProxyKeys(config, deps);
  if (proxyKeys) stops.add('keys of proxies', () => proxyKeys.stop());
  const inject = injectOptions(config, issuer, proxyKeys);
  const server = createReviewServer({ host, port, inject, log, metrics });
  const admin = await startAdmin({
    host,
    port: config['admin-port'],
    registry,
    notReadyBecause: () => notReadyBecause(server, stopping.signal),
  });
  stops.add('admin server', () => admin.stop());

  stops.add('review server', () => server.stop(config['stop-delay-seconds'] * 1_000));
  const keeper = keepCertificate({
    source: certificateSource(config, deps),
    checkMs: config['certificate-check-seconds'] * 1_000,
    log,
    async onCertificate(pair: KeyPair) {
      metrics.certificateExpires(expiryOf(pair.certificate));
      // Tried again soon. A pod that is let in without an identity could never get one.
      if (issuer && !issuer.identity) throw new Error('no keys for identities yet');
      if (proxyKeys && !proxyKeys.injected) throw new Error('no key of proxies yet');
      await server.serve(pair);
    },
  });
  stops.add('certificates', () => keeper.stop());

  return {
    adminPort: admin.port,
    get port() {
      return server.port;
    },
    get issuerPort() {
      return issuer?.port;
    },
    stop() {
      stopping.abort();
      return stops.stop();
    },
  };
}

function notReadyBecause(server: ReviewServer, stopping: AbortSignal): string | undefined {
  if (stopping.aborted) return 'stopping';
  return server.port === undefined ? 'no certificate yet' : undefined;
}

function injectOptions(
  config: WebhookConfig,
  issuer: Issuer | undefined,
  proxyKeys: ProxyKeys | undefined,
): InjectOptions {
  return {
    ...sidecarDefaultsOf(config),
    version: VERSION,
    createDrainToken: randomToken,
    annotations: annotationDefaults(config),
    get identity() {
      return identityOptions(config, issuer?.identity);
    },
    get proof() {
      return proxyKeys?.injected;
    },
  };
}

function certificateSource(config: WebhookConfig, deps: WebhookDeps): CertificateSource {
  if (config['cert-dir'] !== '') return fileCertificates(config['cert-dir']);
  const names = {
    namespace: config.namespace,
    secret: config['secret-name'],
    service: config['service-name'],
    configuration: config['webhook-configuration'],
    mayLackConfiguration: config['configuration-may-lack'],
  };
  return ownCertificates({
    cluster: certificateCluster(deps.kube, names),
    policy: rotationPolicy(config),
    now: deps.now ?? Date.now,
    log: deps.log,
  });
}

/** API servers dial `<service>.<namespace>.svc` and check the certificate for that name. */
function rotationPolicy(config: WebhookConfig): RotationPolicy {
  const host = `${config['service-name']}.${config.namespace}.svc`;
  return {
    dnsNames: [host, `${host}.cluster.local`, `${config['service-name']}.${config.namespace}`],
    authorityValidMs: config['ca-days'] * DAY_MS,
    certificateValidMs: config['certificate-days'] * DAY_MS,
    settleMs: config['certificate-settle-seconds'] * 1_000,
  };
}
