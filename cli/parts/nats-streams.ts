/** `slimfaas nats-streams`: runs before the NATS server, in its pod; see give-streams.ts and nats-store.ts. */
import { UsageError } from '../../common/runtime/errors.ts';
import type { FlagTable, FlagValues } from '../../common/runtime/flags.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { giveStreams, keepAccounts } from './give-streams.ts';
import { writeStoreConfig, type NatsCluster } from './nats-store.ts';

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
  'tls-dir': {
    type: 'string',
    default: '',
    group: 'Streams',
    describe: 'folder with tls.crt and tls.key, which the server shows its clients; empty: it has no TLS',
  },
  'cluster-listen': {
    type: 'string',
    default: '',
    group: 'Cluster',
    describe: 'host:port on which the server takes the other servers of its cluster; empty: it is alone',
  },
  'cluster-routes': {
    type: 'list',
    default: [],
    group: 'Cluster',
    describe: 'host:port of every server of the cluster',
  },
  'cluster-tls-dir': {
    type: 'string',
    default: '',
    group: 'Cluster',
    describe:
      'folder with tls.crt, tls.key and ca.crt by which servers know each other; empty: they ask nobody',
  },
} as const satisfies FlagTable;

export function runNatsStreams(argv: Parsed): void {
  const flags = flagValues(natsStreamsFlags, argv);
  const storeDir = flags['store-dir'];
  const { volume, include } = flags;
  const cluster = clusterOf(flags);
  console.log(
    cluster
      ? keepAccounts(storeDir, { accountFile: flags['account-file'], configFile: include })
      : giveStreams(storeDir, flags['account-file']),
  );
  if (volume !== '')
    console.log(
      writeStoreConfig({
        storeDir,
        volume,
        include,
        tlsDir: flags['tls-dir'],
        ...(cluster ? { cluster } : {}),
      }),
    );
}

/** @returns undefined for a server that is alone @throws UsageError */
function clusterOf(flags: FlagValues<typeof natsStreamsFlags>): NatsCluster | undefined {
  const listen = flags['cluster-listen'];
  const routes = flags['cluster-routes'];
  if ((listen === '') !== (routes.length === 0))
    throw new UsageError('--cluster-listen and --cluster-routes go together');
  if (listen !== '' && flags.volume === '') throw new UsageError('--cluster-listen needs --volume');
  return listen === '' ? undefined : { listen, routes, tlsDir: flags['cluster-tls-dir'] };
}
