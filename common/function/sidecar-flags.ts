/**
 * The sidecar's flags, which are its environment: the webhook sets them as `SLIMFAAS_<FLAG>` on the container that it
 * injects, and the sidecar reads them. This is the one table of that contract. Types hold the webhook to its names, and
 * docs/reference/flags.md is written from it. Nobody types them; by hand they serve for trying and for tests.
 */
import { sidecarIdentityFlags } from '../identity/flags.ts';
import type { Flag } from '../runtime/flags.ts';
import { EVERY_ADDRESS } from '../runtime/listen-on.ts';
import { LOG_LEVEL_FLAG } from '../runtime/log.ts';
import { SIDECAR_ADMIN_PORT, SIDECAR_DATA_PORT } from './names.ts';
import type { FunctionSpec } from './spec.ts';

type SidecarFlag = Flag & {
  /** For a flag that is one annotation: its text for the environment; undefined: the default. */
  readonly annotated?: (spec: FunctionSpec) => string | undefined;
};

const IDENTITY = 'Identity';
const LISTENING = 'Listening';
const APP = 'The user’s container';
const LIMITS = 'Limits';
const DIRECT = 'Direct traffic';
const RETRIES = 'Retries';
const MESSAGING = 'Messaging';

export const sidecarFlags = {
  function: { type: 'string', default: '', group: IDENTITY, describe: 'name of the function' },
  namespace: { type: 'string', default: 'default', group: IDENTITY, describe: 'its namespace' },
  'pod-name': { type: 'string', default: '', group: IDENTITY, describe: 'metadata.name of this pod' },
  'pod-ip': { type: 'string', default: '127.0.0.1', group: IDENTITY, describe: 'status.podIP of this pod' },

  ...sidecarIdentityFlags,

  host: {
    type: 'string',
    default: EVERY_ADDRESS,
    group: LISTENING,
    describe: 'address to listen on; :: is every one, of IPv6 and of IPv4',
  },
  port: {
    type: 'int',
    default: SIDECAR_DATA_PORT,
    min: 0,
    max: 65_535,
    group: LISTENING,
    describe: 'port for calls',
  },
  'admin-port': {
    type: 'int',
    default: SIDECAR_ADMIN_PORT,
    min: 0,
    max: 65_535,
    group: LISTENING,
    describe: 'port for health, readiness, drain and metrics',
  },

  'app-host': { type: 'string', default: '127.0.0.1', group: APP, describe: 'where the app listens' },
  'app-port': {
    type: 'int',
    default: 0,
    min: 0,
    max: 65_535,
    group: APP,
    describe: 'the app’s HTTP port; 0: it speaks no HTTP',
  },
  'app-protocol': {
    type: 'string',
    default: 'http1',
    choices: ['http1', 'h2c'],
    group: APP,
    describe: 'what the app’s port speaks: http1, or h2c (HTTP/2 without TLS, gRPC)',
  },
  'app-tls': {
    type: 'boolean',
    default: false,
    group: APP,
    describe: 'the app’s port speaks HTTP/1.1 over TLS; its certificate is not verified',
  },
  'readiness-probe': {
    type: 'string',
    default: '',
    group: APP,
    describe: 'JSON of the container’s readinessProbe; empty: a TCP connect. What a webhook of 0.1.0 writes',
  },
  probes: {
    type: 'string',
    default: '',
    group: APP,
    describe:
      'JSON list of the containers’ {startup, readiness} probes that must pass; kubernetes: it alone decides; empty: readiness-probe counts',
  },
  'drain-seconds': {
    type: 'number',
    default: 28,
    min: 0,
    group: APP,
    describe: 'how long a drain may take: grace period less 2',
  },
  'drain-settle-seconds': {
    type: 'number',
    default: 0.3,
    min: 0,
    max: 60,
    group: APP,
    describe: 'how long even an idle pod stays; more where Services lead callers to it',
  },
  'drain-token': {
    type: 'string',
    default: '',
    group: APP,
    describe:
      'what /drain must be called with, as the preStop hooks are; empty: a webhook of 0.1.0 knows none',
  },
  'outlive-app': {
    type: 'string',
    default: 'no',
    choices: ['no', 'if-told', 'yes'],
    group: APP,
    describe:
      'after SIGTERM stay until the app’s port is closed; if-told: when a hook of the app has said that it ends too',
  },

  'parallel-per-pod': {
    type: 'int',
    default: 10,
    min: 1,
    group: LIMITS,
    describe: 'calls running at once in this pod',
  },
  'parallel-limit': {
    type: 'int',
    default: 0,
    min: 0,
    group: LIMITS,
    describe: 'calls running at once over all pods; 0: no such limit',
  },
  'queue-limit': {
    type: 'int',
    default: 1_000,
    min: 0,
    group: LIMITS,
    describe: 'direct callers that may wait here',
    annotated: (spec) => spec.queueLimit?.toString(),
  },
  'queue-timeout-seconds': {
    type: 'number',
    default: 60,
    min: 0,
    group: LIMITS,
    describe: 'how long a direct caller may wait',
  },

  'direct-traffic': {
    type: 'string',
    default: 'ignore',
    choices: ['count', 'ignore'],
    group: DIRECT,
    describe:
      'whether connections to the app past proxy and sidecar keep it awake; the webhook gives what slimfaas.dev/direct-traffic says',
  },
  'direct-probes': {
    type: 'list',
    default: [],
    group: DIRECT,
    describe: 'the kubelet’s probes that connect to the pod, as period:timeout in seconds',
  },
  'direct-ignore': {
    type: 'list',
    default: [],
    group: DIRECT,
    describe: 'ports (:9100) and peers (10.1.0.0/16) whose connections do not count',
  },
  'direct-idle-seconds': {
    type: 'number',
    default: 3_600,
    min: 1,
    group: DIRECT,
    describe: 'how long an open connection counts on which no byte moved',
  },
  'direct-look-seconds': {
    type: 'number',
    default: 60,
    min: 1,
    max: 60,
    group: DIRECT,
    describe: 'the longest time between two looks at the connections, whatever they cost',
  },

  'direct-calls': {
    type: 'boolean',
    default: false,
    group: LIMITS,
    describe:
      'take calls of others than proxies too, in a queue of their own, where --proxy-proof is required',
    annotated: (spec) => (spec.directCalls ? 'true' : undefined),
  },
  'max-connections': {
    type: 'int',
    default: 4_096,
    min: 16,
    group: LIMITS,
    describe: 'connections of proxies and direct callers, WebSockets too; further ones are closed at once',
  },
  'job-share': {
    type: 'int',
    default: 50,
    min: 0,
    max: 100,
    group: LIMITS,
    describe:
      'percent of the places that jobs get while calls wait too; at least one place, and at most all but one',
    annotated: (spec) => spec.jobSharePercent?.toString(),
  },

  'sync-policy': {
    type: 'string',
    default: '',
    group: RETRIES,
    describe: 'CallPolicy of calls, as JSON',
    annotated: (spec) => JSON.stringify(spec.sync),
  },
  'async-policy': {
    type: 'string',
    default: '',
    group: RETRIES,
    describe: 'CallPolicy of jobs, as JSON',
    annotated: (spec) => JSON.stringify(spec.async),
  },
  'publish-policy': {
    type: 'string',
    default: '',
    group: RETRIES,
    describe: 'CallPolicy of events, as JSON',
    annotated: (spec) => JSON.stringify(spec.publish),
  },

  nats: { type: 'string', default: 'nats://127.0.0.1:4222', group: MESSAGING, describe: 'NATS servers' },
  'nats-address': {
    type: 'string',
    default: '',
    group: MESSAGING,
    describe: 'IP address of the NATS server, tried first and where its name cannot be resolved; empty: none',
  },
  proxy: {
    type: 'string',
    default: '',
    group: MESSAGING,
    describe: 'URL of the proxies, told when the app is ready; empty: NATS and Kubernetes tell them',
  },
  'proxy-address': {
    type: 'string',
    default: '',
    group: MESSAGING,
    describe: 'IP address for --proxy, tried first and where its name cannot be resolved; empty: none',
  },
  'subscribe-events': {
    type: 'list',
    default: [],
    group: MESSAGING,
    describe: 'events that the app receives',
    annotated: (spec) => spec.subscribeEvents.map(({ event }) => event).join(',') || undefined,
  },
  'retry-jitter': {
    type: 'int',
    default: 0,
    min: 0,
    max: 100,
    group: RETRIES,
    describe: "percent by which a job's retry delay is prolonged at most, at random",
    annotated: (spec) => spec.retryJitterPercent?.toString(),
  },
  ordered: {
    type: 'boolean',
    default: false,
    group: MESSAGING,
    describe: 'jobs one at a time, in order',
    annotated: (spec) => (spec.ordered ? 'true' : undefined),
  },

  'log-level': LOG_LEVEL_FLAG,
} as const satisfies Readonly<Record<string, SidecarFlag>>;

export type SidecarFlagName = keyof typeof sidecarFlags;

/** The environment as the webhook writes it, before the names become `SLIMFAAS_…`; undefined: not set. */
export type SidecarEnvironment = { readonly [F in SidecarFlagName]?: string | undefined };

/** What a function's annotations alone say in its sidecar's environment. */
export function annotatedEnvironment(spec: FunctionSpec): SidecarEnvironment {
  const rows: readonly [string, SidecarFlag][] = Object.entries(sidecarFlags);
  return Object.fromEntries(
    rows.flatMap(([name, { annotated }]) => (annotated ? [[name, annotated(spec)]] : [])),
  );
}
