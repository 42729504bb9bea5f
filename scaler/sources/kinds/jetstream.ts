/**
 * The lag of a JetStream consumer: messages that it has not delivered, and delivered ones that are not acknowledged. So
 * a worker is up as long as it works. The server is one that the tenant names, and each poll has a connection of its own.
 */
import type { SourcePlace } from '../../../common/function/spec.ts';
import type { Reach } from '../reach.ts';
import type { SourceReader, SourceReading, SourceRule } from '../source-rules.ts';
import { askNats } from './nats-ask.ts';

type JetStreamPlace = Extract<SourcePlace, { type: 'nats-jetstream' }>;

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

  constructor(rule: SourceRule, place: JetStreamPlace, reach: Reach) {
    this.#rule = rule;
    this.#place = place;
    this.#reach = reach;
  }

  async read(signal: AbortSignal): Promise<readonly SourceReading[]> {
    const { url: text, stream, consumer } = this.#place;
    const { of, credentials } = this.#rule;
    const url = new URL(text);
    const port = url.port || PORT;
    const address = await this.#reach.address(of.namespace, `http://${url.hostname}:${port}`, signal);
    const question = {
      address,
      port: Number(port),
      // The certificate is for the name, and the address is where that leads.
      tlsHost: url.protocol === 'tls:' ? url.hostname : undefined,
      credentials,
      subject: `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
    };
    const value = lagOf((JSON.parse(await askNats(question, signal)) ?? {}) as ConsumerInfo);
    return this.#rule.questions.map(() => ({ value }));
  }

  /** The signal has ended what was open. */
  close(): void {}
}

/** @throws when it is no consumer's */
function lagOf({ num_pending: pending, num_ack_pending: unacknowledged, error }: ConsumerInfo): number {
  if (error) throw new Error(String(error.description ?? 'an error without words').slice(0, 200));
  if (typeof pending !== 'number' || typeof unacknowledged !== 'number')
    throw new Error('the answer is no consumer’s');
  return pending + unacknowledged;
}
