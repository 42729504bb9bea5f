/** Flags of `slimfaas local`, the whole system on one machine (see common/runtime/flags.ts). */
import type { FlagTable, FlagValues } from '../../common/runtime/flags.ts';
import { LOG_LEVEL_FLAG } from '../../common/runtime/log.ts';

export const localFlags = {
  port: {
    type: 'int',
    default: 5000,
    min: 0,
    max: 65535,
    group: 'Address',
    describe: 'port on 127.0.0.1 at which the proxy answers; 0 takes a free one',
  },
  manifests: {
    type: 'list',
    default: [],
    group: 'What runs',
    describe: 'more manifests to apply, files or folders, after install.yaml and the demo',
  },
  'no-demo': {
    type: 'boolean',
    default: false,
    group: 'What runs',
    describe: 'start without the demo functions',
  },
  'system-log': {
    type: 'boolean',
    default: false,
    group: 'Observability',
    describe: "also print the local cluster's own controllers and nats-server",
  },
  'log-level': LOG_LEVEL_FLAG,
} as const satisfies FlagTable;

export type LocalConfig = FlagValues<typeof localFlags>;
