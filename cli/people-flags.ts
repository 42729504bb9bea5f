/** Flags of the commands for people at a terminal. */
import type { FlagTable } from '../common/flags.ts';

export const proxyUrlFlags = {
  'proxy-url': {
    type: 'string',
    default: 'http://127.0.0.1:5000',
    group: 'Connection',
    describe: 'address of the proxy',
  },
} as const satisfies FlagTable;

/** `kubectl port-forward service/slimfaas-scaler 5001` brings it here. */
export const scalerUrlFlags = {
  'scaler-url': {
    type: 'string',
    default: 'http://127.0.0.1:5001',
    group: 'Connection',
    describe: 'address of the scaler',
  },
} as const satisfies FlagTable;

export const statusFlags = {
  ...proxyUrlFlags,
  ...scalerUrlFlags,
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;

export const queryFlags = {
  ...scalerUrlFlags,
  time: {
    type: 'string',
    default: '',
    group: 'Request',
    describe: 'the moment to ask about, as seconds since 1970 or an ISO date; empty: now',
  },
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;

export const callFlags = {
  ...proxyUrlFlags,
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
  ...proxyUrlFlags,
  wait: {
    type: 'int',
    default: 0,
    min: 0,
    max: 120,
    group: 'Request',
    describe: 'seconds to wait for the end of the job',
  },
} as const satisfies FlagTable;

/** Dead letters are on the port that is not published: `kubectl port-forward` brings it here. */
export const adminUrlFlags = {
  'admin-url': {
    type: 'string',
    default: 'http://127.0.0.1:5003',
    group: 'Connection',
    describe: "address of the proxy's metrics port",
  },
} as const satisfies FlagTable;

export const deadListFlags = {
  ...adminUrlFlags,
  after: {
    type: 'int',
    default: 0,
    min: 0,
    group: 'Output',
    describe: 'list those after this number; 100 are listed at most',
  },
  json: { type: 'boolean', default: false, group: 'Output', describe: 'print JSON instead of a table' },
} as const satisfies FlagTable;
