/**
 * The lag of a JetStream consumer: messages that it has not delivered, and delivered ones that are not acknowledged. So
 * a worker is up as long as it works. The server is one that the tenant names, with a connection of its own.
 */
import type { NatsConnection } from '../../../common/bus/nats.ts';
import { withBrackets } from '../../../common/runtime/brackets.ts';
import type { SourcePlace } from '../../../common/function/spec.ts';
import type { Reach } from '../reach.ts';
import type { Credentials, SourceReader, SourceReading, SourceRule } from '../source-rules.ts';

type JetStreamPlace = Extract<SourcePlace, { type: 'nats-jetstream' }>;

const SOURCE_DIAL_MS = 4_000;
const PORT = '4222';

interface ConsumerInfo {
  readonly num_pending?: number;
  readonly num_ack_pending?: number;
  readonly error?: { readonly description?: string };
}

export class JetStreamReader implements SourceReader {
  readonly #rule: SourceRule;
  readonly #place: JetStreamPlace;
  readonly #reach: Reach;
  #connection: NatsConnection | undefined;
  #isClosed = false;

  constructor(rule: SourceRule, place: JetStreamPlace, reach: Reach) {
    this.#rule = rule;
    this.#place = place;
    this.#reach = reach;
  }

  async read(signal: AbortSignal): Promise<readonly SourceReading[]> {
    const { stream, consumer } = this.#place;
    try {
      const connection = (this.#connection ??= await this.#connect(signal));
      if (this.#isClosed) throw new Error('closed');
      const subject = `$JS.API.CONSUMER.INFO.${stream}.${consumer}`;
      const { data } = await connection.request(subject, '', { timeout: SOURCE_DIAL_MS });
      const value = lagOf(JSON.parse(Buffer.from(data).toString()) as ConsumerInfo);
      return this.#rule.questions.map(() => ({ value }));
    } catch (error) {
      this.#drop();
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #drop(): void {
    void this.#connection?.close().catch(() => undefined);
    this.#connection = undefined;
  }

  async #connect(signal: AbortSignal): Promise<NatsConnection> {
    const { of, credentials } = this.#rule;
    const url = new URL(this.#place.url);
    const isTls = url.protocol === 'tls:';
    const port = url.port || PORT;
    const address = await this.#reach.address(of.namespace, `http://${url.hostname}:${port}`, signal);
    const { connect } = await import('../../../common/bus/nats-library.ts');
    const { ca, cert, key } = credentials;
    const connection = await connect({
      servers: [withBrackets(`${address}:${port}`)],
      name: 'slimfaas scaler',
      // Another address that the server tells of was judged by nobody.
      ignoreClusterUpdates: true,
      resolve: false,
      reconnect: false,
      noAsyncTraces: true,
      timeout: SOURCE_DIAL_MS,
      // The certificate is for the name, and the address is where that leads.
      tls: isTls ? ({ ca, cert, key, servername: url.hostname } as object) : null,
      ...loginOf(credentials),
    });
    void connection.closed().then(() => {
      if (this.#connection === connection) this.#connection = undefined;
    });
    if (this.#isClosed) await connection.close();
    return connection;
  }
}

function loginOf({ token, username, password }: Credentials): {
  token?: string;
  user?: string;
  pass?: string;
} {
  if (token !== undefined) return { token };
  return username === undefined ? {} : { user: username, pass: password ?? '' };
}

/** @throws when it is no consumer's */
function lagOf({ num_pending: pending, num_ack_pending: unacknowledged, error }: ConsumerInfo): number {
  if (error) throw new Error(String(error.description ?? 'an error without words').slice(0, 200));
  if (typeof pending !== 'number' || typeof unacknowledged !== 'number')
    throw new Error('the answer is no consumer’s');
  return pending + unacknowledged;
}
