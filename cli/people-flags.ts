/** Flags of the commands for people at a terminal. */
import type { FlagTable, FlagValues } from '../common/runtime/flags.ts';

/** Which cluster, for the commands that are given no address: see cli/reach/door.ts. */
const clusterFlags = {
  kubeconfig: {
    type: 'string',
    default: '',
    group: 'Connection',
    describe:
      'kubeconfig of the cluster; empty: KUBECONFIG, else a running slimfaas local, else ~/.kube/config',
  },
  context: {
    type: 'string',
    default: '',
    group: 'Connection',
    describe: 'context of the kubeconfig; empty: its current one',
  },
  'system-namespace': {
    type: 'string',
    default: 'slimfaas',
    group: 'Connection',
    describe: 'namespace where slimfaas is installed',
  },
  'as-service-account': {
    type: 'string',
    default: 'slimfaas-operator',
    group: 'Connection',
    describe:
      'service account as which operator routes are asked, NAME of --system-namespace or NAMESPACE/NAME; you must be allowed to create a token for it',
  },
  'token-file': {
    type: 'string',
    default: '',
    group: 'Connection',
    describe:
      'file with a token of the audience slimfaas, shown to operator routes in place of one that is asked for',
  },
} as const satisfies FlagTable;

export type ClusterFlags = FlagValues<typeof clusterFlags>;

const proxyUrlFlags = {
  'proxy-url': {
    type: 'string',
    default: '',
    group: 'Connection',
    describe:
      'address of the proxy; empty: through the cluster, or http://127.0.0.1:5000 where there is none',
  },
  ...clusterFlags,
} as const satisfies FlagTable;

const scalerUrlFlags = {
  'scaler-url': {
    type: 'string',
    default: '',
    group: 'Connection',
    describe:
      'address of the scaler; empty: through the cluster, or http://127.0.0.1:5001 where there is none',
  },
  ...clusterFlags,
} as const satisfies FlagTable;

const { kubeconfig, context, 'system-namespace': systemNamespace } = clusterFlags;

export const releaseFlags = {
  wait: {
    type: 'number',
    default: 180,
    min: 0,
    max: 3_600,
    group: 'Request',
    describe: 'seconds that functions are given until their pods are ready',
  },
  kubeconfig,
  context,
  'system-namespace': systemNamespace,
} as const satisfies FlagTable;

/** What stands beside the name of a function. */
const namespaceFlags = {
  namespace: {
    type: 'string',
    default: '',
    alias: 'n',
    group: 'Request',
    describe: "namespace of the function; empty: the proxy's own, or what NAME.NAMESPACE says",
  },
} as const satisfies FlagTable;

/** One function, asked of the proxy. */
export const functionFlags = { ...proxyUrlFlags, ...namespaceFlags } as const satisfies FlagTable;

export const statusFlags = {
  ...functionFlags,
  ...scalerUrlFlags,
  outdated: {
    type: 'boolean',
    default: false,
    group: 'Output',
    describe: 'list pods whose sidecar is not what the webhook injects now, as after an upgrade',
  },
  restart: {
    type: 'boolean',
    default: false,
    group: 'Request',
    describe: 'with --outdated: restart their Deployments and StatefulSets, which loses no request',
  },
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;

export const canaryFlags = {
  ...scalerUrlFlags,
  namespace: {
    type: 'string',
    default: '',
    alias: 'n',
    group: 'Request',
    describe: 'namespace of the canaries; empty: all',
  },
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;

export const promoteFlags = {
  ...clusterFlags,
  namespace: {
    type: 'string',
    default: '',
    alias: 'n',
    group: 'Request',
    describe: 'namespace of the canary; empty: what NAME.NAMESPACE says, else that of the context',
  },
  'dry-run': {
    type: 'boolean',
    default: false,
    group: 'Request',
    describe: 'print what would change and ask the API server whether it allows it; nothing is changed',
  },
  force: {
    type: 'boolean',
    default: false,
    group: 'Request',
    describe: 'also a canary that was rolled back, or that is being rolled out, or a function without pods',
  },
  timeout: {
    type: 'int',
    default: 300,
    min: 1,
    max: 3_600,
    group: 'Request',
    describe: 'seconds to wait until the pods of the function run the new version',
  },
} as const satisfies FlagTable;

export const queryCommandFlags = {
  ...scalerUrlFlags,
  time: {
    type: 'string',
    default: '',
    group: 'Request',
    describe: 'the moment to ask about, as seconds since 1970 or an ISO date; empty: now',
  },
  function: {
    type: 'string',
    default: '',
    group: 'Request',
    describe: 'NAMESPACE/NAME: ask as a trigger of this function would; empty: over everybody’s series',
  },
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;

export const callFlags = {
  ...functionFlags,
  method: { type: 'string', default: 'GET', group: 'Request', describe: 'HTTP method' },
  data: {
    type: 'string',
    default: '',
    group: 'Request',
    describe: 'request body; with it the method is POST unless given',
  },
  include: { type: 'boolean', default: false, group: 'Output', describe: 'print status and headers too' },
} as const satisfies FlagTable;

export const jobShowFlags = {
  ...functionFlags,
  wait: {
    type: 'int',
    default: 0,
    min: 0,
    max: 120,
    group: 'Request',
    describe: 'seconds to wait for the end of the job',
  },
} as const satisfies FlagTable;

/** Dead letters are on the port that is not published. */
export const adminUrlFlags = {
  'admin-url': {
    type: 'string',
    default: '',
    group: 'Connection',
    describe: "address of the proxy's metrics port; empty: through the cluster, or http://127.0.0.1:5003",
  },
  ...clusterFlags,
} as const satisfies FlagTable;

export const deadListFlags = {
  ...adminUrlFlags,
  ...namespaceFlags,
  after: {
    type: 'int',
    default: 0,
    min: 0,
    group: 'Output',
    describe: 'list those after this number; 100 are listed at most',
  },
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;

/** Every part is asked at the address that the others use. */
export const checkFlags = {
  'proxy-url': {
    type: 'string',
    default: 'http://127.0.0.1:5000',
    group: 'Connection',
    describe: 'address of the proxy',
  },
  'scaler-url': {
    type: 'string',
    default: 'http://127.0.0.1:5001',
    group: 'Connection',
    describe: 'address of the scaler',
  },
  'webhook-url': {
    type: 'string',
    default: 'https://127.0.0.1:8443',
    group: 'Connection',
    describe: 'address of the webhook',
  },
  nats: {
    type: 'string',
    default: 'nats://127.0.0.1:4222',
    group: 'Connection',
    describe: 'NATS servers, separated by commas',
  },
  wait: {
    type: 'number',
    default: 0,
    min: 0,
    max: 3_600,
    group: 'Output',
    describe: 'seconds to ask again while a part does not work yet',
  },
} as const satisfies FlagTable;
