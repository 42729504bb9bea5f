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

export const statusFlags = {
  ...proxyUrlFlags,
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
