/** A connected JetStream with the streams of jobs, on a real server of the test's own. */
import { streamConfigs } from '../../common/queue/jetstream/streams.ts';
import { silentLog } from '../../common/runtime/log.ts';
import { openNatsLink, type NatsLink } from '../../common/bus/nats.ts';
import { startNats, type NatsOptions, type TestNats } from './nats.ts';
import { waitFor } from './wait.ts';
import type { JobSettings } from '../../common/queue/settings.ts';
import type { JetStreamClient, JetStreamManager } from '../../common/queue/jetstream/library.ts';

export const jobSettings: JobSettings = {
  storage: 'file',
  replicas: 1,
  maxJobsPerFunction: 10_000,
  maxBytes: 0,
  duplicateWindowMs: 120_000,
  resultTtlMs: 600_000,
  deadTtlMs: 600_000,
  bodyTtlMs: 600_000,
  eventTtlMs: 600_000,
  eventMaxBytes: 0,
  volumeBytes: 0,
};

export interface TestJetStream extends AsyncDisposable {
  readonly server: TestNats;
  readonly link: NatsLink;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

/** @param settings null: no stream is made */
export async function startJetStream(
  settings: JobSettings | null = jobSettings,
  options: NatsOptions = {},
): Promise<TestJetStream> {
  const server = await startNats(options);
  const link = openNatsLink({ servers: server.url, name: 'test', log: silentLog });
  const connection = await waitFor(() => link.connection, { what: 'connected to NATS' });
  const jsm = await connection.jetstreamManager();
  for (const config of settings ? streamConfigs(settings) : []) await jsm.streams.add(config);
  return {
    server,
    link,
    js: connection.jetstream(),
    jsm,
    async [Symbol.asyncDispose]() {
      await link.stop();
      await server.stop();
    },
  };
}
