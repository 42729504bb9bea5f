/** `slimfaas nats-streams`: runs before the NATS server, in its pod; see give-streams.ts and nats-store.ts. */
import type { FlagTable } from '../../common/runtime/flags.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { giveStreams } from './give-streams.ts';
import { writeStoreConfig } from './nats-store.ts';

export const natsStreamsFlags = {
  'store-dir': { type: 'string', default: '/data', group: 'Streams', describe: '--store_dir of the server' },
  'account-file': {
    type: 'string',
    default: '',
    group: 'Streams',
    describe: 'file with the public key of the account to which streams belong; empty: to nobody',
  },
  volume: {
    type: 'string',
    default: '',
    group: 'Streams',
    describe:
      'size of the volume, such as 10Gi: what streams may have of it is written to slimfaas.conf there',
  },
  include: {
    type: 'string',
    default: '',
    group: 'Streams',
    describe: 'a configuration file that slimfaas.conf includes; empty: none',
  },
} as const satisfies FlagTable;

export function runNatsStreams(argv: Parsed): void {
  const flags = flagValues(natsStreamsFlags, argv);
  const storeDir = flags['store-dir'];
  console.log(giveStreams(storeDir, flags['account-file']));
  const { volume, include } = flags;
  if (volume !== '') console.log(writeStoreConfig({ storeDir, volume, include }));
}
