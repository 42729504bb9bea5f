/**
 * values.schema.json: what each value of the chart may be. The flags of the parts come from their own tables, so that
 * helm refuses a misspelt or impossible flag before a pod does. Given up: flags of plain text are not checked further.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { AUTH_MODES } from '../common/identity/flags.ts';
import type { Flag, FlagTable } from '../common/runtime/flags.ts';
import { PUBLIC_ROUTES } from '../proxy/edge/outside-flags.ts';
import { proxyFlags } from '../proxy/flags.ts';
import { scalerFlags } from '../scaler/flags.ts';
import { webhookFlags } from '../webhook/flags.ts';

type Schema = Readonly<Record<string, unknown>>;

/** What the chart says itself, by argument or variable: a second word on them would be silently ignored. */
export const OWN_FLAGS = {
  proxy: words(`host port metrics-port tls-port tls-cert tls-key api-keys waiting-page-file
    public-port public-routes outside-cidrs tls-public
    namespaces namespace pod-name pod-ip nats nats-address scaler-url scaler-address function-hosts services-default
    auth old-sidecars issuer issuer-address issuer-ca-file token-file proxy-keys-secret
    operator-auth operator-token-file open-metrics peer-token-file`),
  // Its rights are to the Lease of the default name, in its own namespace.
  scaler: words(`host port namespaces namespace pod-name pod-ip nats nats-address job-replicas nats-volume
    lease-name lease-namespace function-hosts services-wake services-default services-owner auth issuer issuer-address issuer-ca-file token-file
    operator-auth operator-token-file open-metrics peer-token-file`),
  // The names are those of the chart's objects.
  webhook:
    words(`host port admin-port namespace pod-name services-default sidecar-image sidecar-nats sidecar-nats-address sidecar-proxy
      sidecar-proxy-address sidecar-user sidecar-pull-policy sidecar-resources cert-dir
    service-name webhook-configuration configuration-may-lack secret-name
      auth old-sidecars exchange-port issuer-service nats-service nats-signing-key nats-credentials nats-ca-file
      sidecar-issuer sidecar-issuer-address proxy-proof proxy-keys-secret`),
} as const;

function words(text: string): readonly string[] {
  return text.split(/\s+/);
}

/** As Kubernetes writes amounts: 10Gi, 100m, 0.5. */
const QUANTITY = { type: ['string', 'number'], pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$' };
/** A name of Kubernetes, or nothing. */
const NAME_OR_EMPTY = { type: 'string', pattern: '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$' };
const DIGEST_OR_EMPTY = { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' };
const TEXTS = { type: 'object', additionalProperties: { type: 'string' } };
const NAMES = {
  type: 'array',
  uniqueItems: true,
  items: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' },
};
const BOOLEAN = { type: 'boolean' };

function object(properties: Schema): Schema {
  return { type: 'object', additionalProperties: false, properties };
}

function oneOf(...values: string[]): Schema {
  return { type: 'string', enum: values };
}

const AMOUNTS = object({ cpu: QUANTITY, memory: QUANTITY, 'ephemeral-storage': QUANTITY });

const PLACEMENT = {
  resources: object({ requests: AMOUNTS, limits: AMOUNTS }),
  nodeSelector: TEXTS,
  tolerations: {
    type: 'array',
    items: object({
      key: { type: 'string' },
      operator: oneOf('Exists', 'Equal'),
      value: { type: 'string' },
      effect: oneOf('NoSchedule', 'PreferNoSchedule', 'NoExecute'),
      tolerationSeconds: { type: 'integer' },
    }),
  },
};

function part(table: FlagTable, own: readonly string[], more: Schema = {}): Schema {
  return object({
    replicas: { type: 'integer', minimum: 0 },
    podDisruptionBudget: BOOLEAN,
    ...PLACEMENT,
    flags: flagsSchema(table, own),
    ...more,
  });
}

function flagsSchema(table: FlagTable, own: readonly string[]): Schema {
  const free = Object.entries(table).filter(([name]) => !own.includes(name));
  return object(
    Object.fromEntries(
      free.map(([name, flag]) => [name, { description: flag.describe, ...flagSchema(flag) }]),
    ),
  );
}

function flagSchema(flag: Flag): Schema {
  switch (flag.type) {
    case 'int':
    case 'number':
      return {
        // `helm --set flag=0.5` hands on a text: helm reads whole numbers only. Its range is then the part's to check.
        ...(flag.type === 'int'
          ? { type: 'integer' }
          : { type: ['number', 'string'], pattern: '^[0-9]+\\.[0-9]+$' }),
        ...(flag.min === undefined ? {} : { minimum: flag.min }),
        ...(flag.max === undefined ? {} : { maximum: flag.max }),
      };
    case 'boolean':
      return BOOLEAN;
    case 'list':
      return { type: 'array', items: { type: 'string' } };
    case 'string':
      return flag.choices ? oneOf(...flag.choices) : { type: 'string' };
  }
}

const PROXY_ONLY = {
  service: object({
    type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer'),
    annotations: TEXTS,
    ipFamilyPolicy: oneOf('', 'SingleStack', 'PreferDualStack', 'RequireDualStack'),
  }),
  tls: object({ secretName: NAME_OR_EMPTY, public: BOOLEAN }),
  public: object({
    routes: {
      type: 'array',
      uniqueItems: true,
      items: oneOf(...PUBLIC_ROUTES),
    },
    service: object({
      type: oneOf('', 'ClusterIP', 'NodePort', 'LoadBalancer'),
      annotations: TEXTS,
    }),
    outsideCidrs: { type: 'array', items: { type: 'string', pattern: '^[0-9a-fA-F.:]+(/[0-9]{1,3})?$' } },
  }),
  apiKeys: object({ secretName: NAME_OR_EMPTY }),
  waitingPage: object({ configMap: NAME_OR_EMPTY }),
  httpRoute: object({
    hosts: { type: 'array', items: { type: 'string', minLength: 1 } },
    parentRefs: {
      type: 'array',
      items: object({
        name: { type: 'string', minLength: 1 },
        namespace: { type: 'string' },
        sectionName: { type: 'string' },
        port: { type: 'integer' },
      }),
    },
  }),
  ingress: object({
    hosts: {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?$' },
    },
    paths: { type: 'array', uniqueItems: true, items: { type: 'string', pattern: '^/' } },
    className: NAME_OR_EMPTY,
    annotations: TEXTS,
    tlsSecretName: NAME_OR_EMPTY,
  }),
};

const NATS = object({
  // The client reads no password from the address.
  url: {
    description:
      'nats://host:4222 or tls://host:4222, several by commas, all of one kind, without user and password',
    type: 'string',
    pattern: '^(nats://[^@/, ]+(,nats://[^@/, ]+)*|tls://[^@/, ]+(,tls://[^@/, ]+)*)?$',
  },
  signingKey: object({ secretName: NAME_OR_EMPTY }),
  credentials: object({ secretName: NAME_OR_EMPTY }),
  ca: object({ secretName: NAME_OR_EMPTY }),
  replicas: { type: 'integer', enum: [1, 3] },
  leaveStreams: BOOLEAN,
  podDisruptionBudget: BOOLEAN,
  image: { type: 'string', minLength: 1 },
  digest: DIGEST_OR_EMPTY,
  listen: { type: 'string', pattern: '^[0-9a-fA-F.:]+$' },
  storage: object({ size: QUANTITY, className: NAME_OR_EMPTY }),
  ...PLACEMENT,
});

function valuesSchema(): Schema {
  return {
    // The draft that every Helm 3 reads; 2020-12 came with 3.18.
    $schema: 'http://json-schema.org/draft-07/schema#',
    description: 'Rendered by `npm run manifests` from manifests/values-schema.ts and the parts’ flags.',
    ...object({
      // What helm hands to a chart that is part of another one.
      global: { type: 'object' },
      image: object({
        repository: { type: 'string', minLength: 1 },
        tag: { type: 'string', pattern: '^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$' },
        digest: DIGEST_OR_EMPTY,
        pullPolicy: oneOf('', 'Always', 'IfNotPresent', 'Never'),
        pullSecrets: { type: 'array', items: { type: 'string', minLength: 1 } },
      }),
      namespaces: NAMES,
      clusterParts: oneOf('with', 'without', 'only'),
      servicesWake: BOOLEAN,
      servicesDefault: oneOf('ignore', 'wake'),
      functionHosts: { type: 'array', items: { type: 'string', minLength: 1 } },
      operatorAuth: oneOf('kubernetes', 'token', 'off'),
      operatorToken: object({ secretName: NAME_OR_EMPTY }),
      user: {
        description: 'a user id from 1 to 2147483647, or none: each namespace gives its own',
        anyOf: [{ type: 'integer', minimum: 1, maximum: 2_147_483_647 }, { const: 'none' }],
      },
      createNamespace: BOOLEAN,
      auth: oneOf(...AUTH_MODES),
      oldSidecars: BOOLEAN,
      proxyProof: oneOf('', ...AUTH_MODES),
      sidecar: object({ resources: object({ requests: AMOUNTS, limits: AMOUNTS }) }),
      nats: NATS,
      networkPolicies: object({
        nats: BOOLEAN,
        parts: BOOLEAN,
        sidecars: BOOLEAN,
        operatorsFrom: { type: 'array', items: { type: 'object', minProperties: 1 } },
      }),
      jobs: object({ replicas: { type: 'integer', minimum: 1, maximum: 5 } }),
      metrics: object({ annotations: BOOLEAN, podMonitors: BOOLEAN, podMonitorLabels: TEXTS, open: BOOLEAN }),
      proxy: part(proxyFlags, OWN_FLAGS.proxy, PROXY_ONLY),
      scaler: part(scalerFlags, OWN_FLAGS.scaler),
      webhook: part(webhookFlags, OWN_FLAGS.webhook, {
        certManager: object({ issuer: NAME_OR_EMPTY, kind: oneOf('Issuer', 'ClusterIssuer') }),
      }),
    }),
  };
}

/**
 * Helm takes a value of null for "not there", and a template that misses one writes nonsense (user: null was root). So what
 * has a default must stay, except resources and selectors, of which one may be taken away.
 */
function keepDefaults(schema: Schema, defaults: Values): Schema {
  const properties = schema['properties'] as Readonly<Record<string, Schema>> | undefined;
  if (!properties) return schema;
  const kept = Object.entries(properties).map(([name, inner]): [string, Schema] => {
    const value = defaults[name];
    const isGroup = value !== null && typeof value === 'object' && !MAY_LACK.has(name);
    return [name, isGroup ? keepDefaults(inner, value as Values) : inner];
  });
  const required = Object.keys(properties).filter((name) => name in defaults);
  return { ...schema, ...(required.length > 0 ? { required } : {}), properties: Object.fromEntries(kept) };
}

type Values = Readonly<Record<string, unknown>>;

const MAY_LACK: ReadonlySet<string> = new Set(['resources', 'nodeSelector', 'flags']);

export function valuesSchemaText(): string {
  const values = parse(readFileSync(join(import.meta.dirname, 'chart/values.yaml'), 'utf8')) as Values;
  return `${JSON.stringify(keepDefaults(valuesSchema(), values), null, 2)}\n`;
}
