/** Flags of the proxy for callers from outside the cluster (outside.ts). */
import type { FlagTable } from '../../common/runtime/flags.ts';

/** What --public-routes may name; outside.ts says which paths each of them is. */
export const PUBLIC_ROUTES = [
  'function',
  'async-function',
  'publish-event',
  'jobs',
  'status',
  'wake',
] as const;

export const outsideFlags = {
  'public-port': {
    type: 'int',
    default: 5080,
    min: 0,
    max: 65535,
    group: 'Listening',
    describe:
      'port for callers from outside the cluster, once --public-routes names a route; they are never trusted; 0 picks a free one',
  },
  'public-routes': {
    type: 'list',
    default: [],
    group: 'Listening',
    describe: `what callers from outside may ask, separated by commas: ${PUBLIC_ROUTES.join(', ')}; empty: no public port`,
  },
  'outside-cidrs': {
    type: 'list',
    default: [],
    group: 'Listening',
    describe:
      'addresses and ranges, such as those of load balancers, whose connections are from outside on every port, separated by commas',
  },
  'tls-public': {
    type: 'boolean',
    default: false,
    group: 'Listening',
    describe: 'the TLS port is for callers from outside too',
  },
} as const satisfies FlagTable;
