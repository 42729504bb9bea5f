/** `slimfaas nats-streams`: runs before the NATS server, in its pod; see give-streams.ts. */
import type { FlagTable } from '../../common/runtime/flags.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { giveStreams } from './give-streams.ts';

export const natsStreamsFlags = {
  'store-dir': { type: 'string', default: '/data', group: 'Streams', describe: '--store_dir of the server' },
  'account-file': {
    type: 'string',
    default: '',
    group: 'Streams',
    describe: 'file with the public key of the account to which streams belong; empty: to nobody',
  },
} as const satisfies FlagTable;

export function runNatsStreams(argv: Parsed): void {
  const flags = flagValues(natsStreamsFlags, argv);
  console.log(giveStreams(flags['store-dir'], flags['account-file']));
}
