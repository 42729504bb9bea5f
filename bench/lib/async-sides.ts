/**
 * The two sides of `bench -- async`: a job through proxy and sidecar to the function, and the bare JetStream
 * publish and pull consumer with the same body on the same server. Both tell acceptance and arrival.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { storeBody } from '../../common/queue/jetstream/bodies/body-store.ts';
import { INLINE_BODY_MAX_BYTES } from '../../common/queue/job.ts';
import type { NatsConnection } from '../../common/bus/nats.ts';
import { AckPolicy, natsHeaders, RetentionPolicy, StorageType } from '../../common/bus/nats-library.ts';
import { openLeanClient } from './lean-client.ts';

/** Each resolves with the milliseconds from the start of the post. */
export interface Sending {
  /** On the clock of `now`. */
  readonly begunAt: number;
  readonly accepted: Promise<number>;
  readonly arrived: Promise<number>;
}

export interface Side {
  readonly name: string;
  send(body: Buffer): Sending;
  close(): Promise<void>;
}

/** Milliseconds of the kernel's monotonic clock. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** What has arrived, and who waits for it; either may be first. */
class Arrivals {
  readonly #known = new Map<string, number>();
  readonly #waiting = new Map<string, (at: number) => void>();

  came(mark: string, at: number): void {
    const tell = this.#waiting.get(mark);
    this.#waiting.delete(mark);
    if (tell) tell(at);
    else this.#known.set(mark, at);
  }

  of(mark: string): Promise<number> {
    const at = this.#known.get(mark);
    this.#known.delete(mark);
    if (at !== undefined) return Promise.resolve(at);
    return new Promise((resolve) => this.#waiting.set(mark, resolve));
  }
}

export interface ArrivalPort {
  readonly port: number;
  readonly arrivals: Arrivals;
  close(): void;
}

/** Where `subjects/arrivals.ts` reports. */
export async function listenForArrivals(): Promise<ArrivalPort> {
  const arrivals = new Arrivals();
  const socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
  socket.on('message', (data) => {
    for (const line of data.toString().split('\n')) {
      const [mark = '', at] = line.split(' ');
      arrivals.came(mark, Number(BigInt(at ?? 0)) / 1e6);
    }
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { port: (socket.address() as AddressInfo).port, arrivals, close: () => socket.close() };
}

export async function slimfaasSide(
  url: string,
  connections: number,
  { arrivals }: ArrivalPort,
): Promise<Side> {
  const client = await openLeanClient(url, connections);
  let sent = 0;
  return {
    name: 'slimfaas',
    send(body) {
      const mark = `${connections}-${body.length}-${sent++}-${Date.now()}`;
      const begun = now();
      const accepted = client.post(`X-Bench: ${mark}\r\n`, body).then((status) => {
        if (status !== 201) throw new Error(`a job was answered with ${status}`);
        return now() - begun;
      });
      return {
        begunAt: begun,
        accepted,
        arrived: accepted.then(() => arrivals.of(mark)).then((at) => at - begun),
      };
    },
    close: async () => client.close(),
  };
}

const STREAM = 'BENCH';
const SUBJECT = 'bench.async';

/** Stored, confirmed and pulled as jobs are, with nothing else around it. Large bodies as the proxy stores them. */
export async function bareSide(connection: NatsConnection): Promise<Side> {
  const jsm = await connection.jetstreamManager();
  const js = connection.jetstream();
  const arrivals = new Arrivals();
  await jsm.streams.add({
    name: STREAM,
    subjects: [SUBJECT],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
  });
  await jsm.consumers.add(STREAM, { durable_name: 'bench', ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get(STREAM, 'bench');
  const messages = await consumer.consume({
    max_messages: 100,
    callback: (message) => {
      arrivals.came(message.headers?.get('Mark') ?? '', now());
      message.ack();
    },
  });
  const publish = async (mark: string, body: Buffer): Promise<void> => {
    const headers = natsHeaders();
    headers.set('Mark', mark);
    const isLarge = body.length > INLINE_BODY_MAX_BYTES;
    if (isLarge) await storeBody({ js, jsm }, `bench-${mark}`, chunksOf(body), Infinity);
    await js.publish(SUBJECT, isLarge ? Buffer.alloc(0) : body, { headers });
  };
  let sent = 0;
  return {
    name: 'bare JetStream',
    send(body) {
      const mark = String(sent++);
      const begun = now();
      const accepted = publish(mark, body).then(() => now() - begun);
      return { begunAt: begun, accepted, arrived: arrivals.of(mark).then((at) => at - begun) };
    },
    async close() {
      await messages.close();
      await jsm.streams.delete(STREAM);
    },
  };
}

async function* chunksOf(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
