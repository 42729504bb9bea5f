/** Connections to a {@link TestBus}'s server, each with the identity that the real exchange gave. */
import { inboxPrefix, type BusClient } from '../../../common/bus/permissions.ts';
import { natsLogin } from '../../../common/bus/login.ts';
import { openNatsLink, type NatsConnection, type NatsLink } from '../../../common/bus/nats.ts';
import type { FunctionId } from '../../../common/bus/subjects.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';
import { PullConsumer } from '../../../common/queue/jetstream/pull.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import type { Delivery } from '../../../common/queue/queue.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import type { AtEnd } from '../../helpers/local-api.ts';
import type { TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import type { TestBus } from './bus.ts';

export interface TestClient {
  readonly link: NatsLink;
  readonly connection: NatsConnection;
  /** `publish <subject>` and `subscribe <subject>` of what the server refused of what `act` did. */
  refused(act: (connection: NatsConnection) => void): Promise<string[]>;
}

/** Nobody may say or hear it. */
const SENTINEL = 'no.such.subject';

export async function openClient(
  { bus, nats, atEnd }: { bus: TestBus; nats: TestNats; atEnd: AtEnd },
  client: BusClient,
): Promise<TestClient> {
  const identity =
    client.role === 'sidecar'
      ? bus.identity(await bus.tokenFile(client.namespace, 'default', undefined, client.pod), {
          function: client.function,
          grant: bus.grant(client.namespace, client.function),
        })
      : bus.identity(await bus.tokenFile('slimfaas', `slimfaas-${client.role}`, undefined, client.pod));
  const link = openNatsLink({
    servers: `nats://localhost:${nats.port}`,
    address: nats.host,
    name: client.pod,
    log: silentLog,
    login: natsLogin('required', identity),
    inboxPrefix: inboxPrefix(client),
  });
  atEnd(() => link.stop());
  await waitFor(() => link.isConnected, { what: `${client.role} ${client.pod} is connected` });
  const connection = link.connection as NatsConnection;
  let violations: string[] = [];
  void (async () => {
    for await (const { permissionContext: refusal } of connection.status())
      if (refusal)
        violations.push(`${refusal.operation === 'publish' ? 'publish' : 'subscribe'} ${refusal.subject}`);
  })();
  return {
    link,
    connection,
    async refused(act) {
      violations = [];
      act(connection);
      connection.publish(SENTINEL);
      // The server answers in order.
      await waitFor(() => violations.includes(`publish ${SENTINEL}`), {
        what: 'the server has heard it all',
      });
      return violations.slice(0, -1);
    },
  };
}

/** Pulls one job as a sidecar does, and finishes it. */
export async function pullOne(connection: NatsConnection, id: FunctionId): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<Delivery>();
  const jobs: PullConsumer = new PullConsumer({
    connection,
    stream: JOBS_STREAM,
    consumer: consumerName(id),
    onDelivery: resolve,
    // Nobody may have heard it: a consumer that is moving keeps silent.
    onCredits: () => jobs.ask(1),
  });
  jobs.ask(1);
  const delivery = await promise;
  delivery.finish();
  jobs.stop();
  return Buffer.from(delivery.data).toString();
}
