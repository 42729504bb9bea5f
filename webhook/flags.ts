/** Flags of `slimfaas webhook`; the defaults are those of `manifests/install.yaml`. */
import { isIP } from 'node:net';
import { readResources } from '../common/function/annotations/resources.ts';
import { servicesFlags } from '../common/function/services-flags.ts';
import { AUTH_MODES } from '../common/identity/flags.ts';
import type { FlagTable, FlagValues } from '../common/runtime/flags.ts';
import { EVERY_ADDRESS } from '../common/runtime/listen-on.ts';
import { LOG_LEVEL_FLAG } from '../common/runtime/log.ts';
import type { SidecarDefaults } from './inject/sidecar-container.ts';
import { externalNatsFlags } from './issuer/external-flags.ts';

export const webhookFlags = {
  host: {
    type: 'string',
    default: EVERY_ADDRESS,
    group: 'Listening',
    describe: 'address to listen on; :: is every one, of IPv6 and of IPv4',
  },
  port: {
    type: 'int',
    default: 8443,
    min: 0,
    max: 65_535,
    group: 'Listening',
    describe: 'TLS port of /mutate, which the API server calls',
  },
  'admin-port': {
    type: 'int',
    default: 5002,
    min: 0,
    max: 65_535,
    group: 'Listening',
    describe: 'port of /health, /ready and /metrics',
  },
  'stop-delay-seconds': {
    type: 'number',
    default: 3,
    min: 0,
    max: 60,
    group: 'Listening',
    describe: 'seconds to go on answering after SIGTERM, until no API server sends reviews here any more',
  },
  ...servicesFlags,
  namespace: {
    type: 'string',
    default: 'slimfaas',
    group: 'Kubernetes',
    describe: "the webhook's own namespace: of its Service and of the Secret",
  },
  'pod-name': { type: 'string', default: '', group: 'Kubernetes', describe: 'this pod, for the log' },
  'service-name': {
    type: 'string',
    default: 'slimfaas-webhook',
    group: 'Kubernetes',
    describe: 'the Service that the webhook configuration points at; the certificate is for its name',
  },
  'webhook-configuration': {
    type: 'string',
    default: 'slimfaas',
    group: 'Kubernetes',
    describe: 'MutatingWebhookConfiguration whose caBundle is kept up to date',
  },
  'configuration-may-lack': {
    type: 'boolean',
    default: false,
    group: 'Kubernetes',
    describe:
      'serve while that configuration is not there or may not be read: an administrator applies it later, and it is looked for at each check',
  },
  'sidecar-image': {
    type: 'string',
    default: 'slimfaas/slimfaas:0.1.0',
    group: 'Injection',
    describe: 'image of the injected sidecar; slimfaas.dev/sidecar-image overrides it for one workload',
  },
  'sidecar-nats': {
    type: 'string',
    default: 'nats://slimfaas-nats.slimfaas.svc:4222',
    group: 'Injection',
    describe: 'NATS servers as injected sidecars reach them, from any namespace; several by commas',
  },
  'sidecar-nats-address': {
    type: 'string',
    default: '',
    group: 'Injection',
    describe: 'IP address of the NATS server for injected sidecars, beside its name; empty: none',
  },
  'sidecar-proxy': {
    type: 'string',
    default: 'http://slimfaas-proxy.slimfaas.svc:5000',
    group: 'Injection',
    describe:
      'URL of the proxies as injected sidecars reach them, told when an app is ready; empty: NATS tells them',
  },
  'sidecar-proxy-address': {
    type: 'string',
    default: '',
    group: 'Injection',
    describe: 'IP address for --sidecar-proxy, beside its name; empty: none',
  },
  'sidecar-user': {
    type: 'string',
    default: '65532',
    form: {
      fits: (text) => text === 'none' || (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= 2_147_483_647),
      allowed: 'a user id from 1 to 2147483647, or none: the namespace gives one, as OpenShift does',
    },
    group: 'Injection',
    describe: 'user id of the injected sidecar; none: the namespace gives one, as OpenShift does',
  },
  'sidecar-pull-policy': {
    type: 'string',
    default: '',
    choices: ['', 'Always', 'IfNotPresent', 'Never'],
    group: 'Injection',
    describe: "imagePullPolicy of the injected sidecar; empty: Kubernetes' own rule",
  },
  'sidecar-resources': {
    type: 'string',
    default: '',
    form: {
      fits: (text) => text === '' || isResources(text),
      allowed: '{"requests": {…}, "limits": {…}} as JSON, with quantities such as 100m or 64Mi',
    },
    group: 'Injection',
    describe:
      'requests and limits of every injected sidecar, as JSON, beside those that it has; slimfaas.dev/sidecar-resources goes before',
  },
  auth: {
    type: 'string',
    default: 'off',
    choices: AUTH_MODES,
    group: 'Identity',
    describe:
      'off: pods have no identity on NATS; permissive: they have one, and NATS asks nobody; required: NATS asks for it',
  },
  'old-sidecars': {
    type: 'boolean',
    default: false,
    group: 'Identity',
    describe:
      'sidecars of the version before get every right on NATS, which they need; false: they get no identity',
  },
  'proxy-proof': {
    type: 'string',
    default: 'off',
    choices: AUTH_MODES,
    group: 'Identity',
    describe:
      'what pods ask of callers at the port for calls: off: nothing; permissive: a proof that a proxy calls, and those without are counted; required: they are refused',
  },
  'proxy-keys-secret': {
    type: 'string',
    default: 'slimfaas-proxy-keys',
    group: 'Identity',
    describe: 'Secret with the keys of these proofs, which proxies read; made when absent',
  },
  'proxy-key-days': {
    type: 'number',
    default: 90,
    min: 0.00001,
    max: 36_500,
    group: 'Identity',
    describe: 'a new key is made when the newest is so old; pods that run keep the key that they know',
  },
  'exchange-port': {
    type: 'int',
    default: 8444,
    min: 0,
    max: 65_535,
    group: 'Identity',
    describe: 'TLS port at which pods exchange their tokens for identities',
  },
  'issuer-service': {
    type: 'string',
    default: 'slimfaas-issuer',
    group: 'Identity',
    describe: 'the Service of that port; the certificate is for its name and for the next one',
  },
  'nats-service': {
    type: 'string',
    default: 'slimfaas-nats',
    group: 'Identity',
    describe: 'the Service of the NATS servers',
  },
  ...externalNatsFlags,
  'identity-hours': {
    type: 'number',
    default: 12,
    min: 0.0005,
    max: 168,
    group: 'Identity',
    describe: 'life of an identity; pods renew it when a third to a half of it is left',
  },
  'sidecar-issuer': {
    type: 'string',
    default: 'https://slimfaas-issuer.slimfaas.svc:8444',
    group: 'Identity',
    describe: 'URL of the issuer as injected sidecars reach it',
  },
  'sidecar-issuer-address': {
    type: 'string',
    default: '',
    group: 'Identity',
    describe: 'IP address for --sidecar-issuer, tried first; empty: none',
  },
  'cert-dir': {
    type: 'string',
    default: '',
    group: 'Certificates',
    describe:
      "folder with tls.crt and tls.key from somebody else (cert-manager); caBundle is then somebody else's too",
  },
  'secret-name': {
    type: 'string',
    default: 'slimfaas-webhook-tls',
    group: 'Certificates',
    describe: 'Secret that the replicas share: CA and server certificate; made when absent',
  },
  'ca-days': {
    type: 'number',
    default: 365,
    min: 0.00001,
    max: 36_500,
    group: 'Certificates',
    describe: 'validity of the own CA; replaced when a third of it is left',
  },
  'certificate-days': {
    type: 'number',
    default: 90,
    min: 0.00001,
    max: 36_500,
    group: 'Certificates',
    describe: 'validity of the server certificate; replaced when a third of it is left',
  },
  'certificate-check-seconds': {
    type: 'number',
    default: 30,
    min: 0.05,
    max: 86_400,
    group: 'Certificates',
    describe: 'how often Secret or cert-dir, caBundle and expiry are looked at',
  },
  'certificate-settle-seconds': {
    type: 'number',
    default: 120,
    min: 0,
    max: 86_400,
    group: 'Certificates',
    describe: 'how long a new CA is in caBundle before a certificate of it is served',
  },
  'log-level': LOG_LEVEL_FLAG,
} as const satisfies FlagTable;

export type WebhookFlagValues = FlagValues<typeof webhookFlags>;

/** Those that say something of every sidecar. */
export const SIDECAR_FLAGS = [
  'sidecar-image',
  'sidecar-nats',
  'sidecar-nats-address',
  'sidecar-proxy',
  'sidecar-proxy-address',
  'sidecar-user',
  'sidecar-pull-policy',
  'sidecar-resources',
] as const;
export type SidecarFlag = (typeof SIDECAR_FLAGS)[number];

function isResources(text: string): boolean {
  let isFaulty = false;
  const read = readResources(text, () => void (isFaulty = true));
  return read !== undefined && !isFaulty;
}

/** What the flags say of every sidecar, for the webhook and for `slimfaas inject`. */
export function sidecarDefaultsOf(flags: Readonly<Record<SidecarFlag, string>>): SidecarDefaults {
  const user = flags['sidecar-user'];
  return {
    image: flags['sidecar-image'],
    nats: flags['sidecar-nats'],
    proxy: flags['sidecar-proxy'],
    natsAddress: addressOr(flags['sidecar-nats-address']),
    proxyAddress: addressOr(flags['sidecar-proxy-address']),
    user: user === 'none' ? undefined : Number(user),
    pullPolicy: flags['sidecar-pull-policy'] || undefined,
    resources:
      flags['sidecar-resources'] === ''
        ? undefined
        : readResources(flags['sidecar-resources'], () => undefined),
  };
}

/** Anything else is a variable that Kubernetes could not expand. */
export function addressOr(text: string): string | undefined {
  return isIP(text) === 0 ? undefined : text;
}
