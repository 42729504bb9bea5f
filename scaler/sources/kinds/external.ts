/**
 * KEDA's external scaler protocol. IsActive wakes and keeps awake, GetMetricSpec says what there is and what one pod can
 * take, GetMetrics gives values. StreamIsActive pushes: what has changed is asked for at once. A scaler that has no
 * stream is polled alone. The library is loaded with the first such source.
 */
import { isIPv6 } from 'node:net';
import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import type { SourcePlace } from '../../../common/function/spec.ts';
import type { Reach } from '../reach.ts';
import type { SourceQuestion, SourceReader, SourceReading, SourceRule } from '../source-rules.ts';
import type { MetricSpec, MetricValue, ScaledObjectRef } from './external-proto.ts';

type ExternalPlace = Extract<SourcePlace, { type: 'external' }>;

const SERVICE = '/externalscaler.ExternalScaler/';
const MAX_GRPC_BYTES = 64 * 1024;
/** A scaler with more metrics is asked for the first ones alone. */
const MAX_METRICS = 20;
/** Specs are asked for again after this: what a pod can take may change. */
const SPECS_MS = 60_000;
/** For one call; a poll as a whole has 5 s. The server sees it too. */
const CALL_MS = 4_500;
const UNIMPLEMENTED = 12;
/** Messages of a stream that are read between two polls. */
const MAX_HEARD = 100;

type GrpcModule = typeof import('@grpc/grpc-js');

interface Library {
  readonly grpc: GrpcModule;
  readonly proto: typeof import('./external-proto.ts');
}

interface Open extends Library {
  readonly client: Client;
}

/** In one poll, which its signal ends. */
interface Asked {
  readonly open: Open;
  readonly signal: AbortSignal;
}

export class ExternalReader implements SourceReader {
  readonly #rule: SourceRule;
  readonly #place: ExternalPlace;
  readonly #reach: Reach;
  readonly #ref: ScaledObjectRef;
  #open: Open | undefined;
  #specs: { readonly list: readonly MetricSpec[]; readonly atMs: number } | undefined;
  #stream: ClientReadableStream<boolean> | undefined;
  #hasNoStream = false;
  #isClosed = false;
  /** What the stream said last. */
  #pushed: boolean | undefined;
  #wasActive: boolean | undefined;
  /** Messages of the stream since it was last asked. */
  #heard = 0;

  constructor(rule: SourceRule, place: ExternalPlace, reach: Reach) {
    this.#rule = rule;
    this.#place = place;
    this.#reach = reach;
    this.#ref = { name: rule.of.name, namespace: rule.of.namespace, scalerMetadata: place.metadata };
  }

  async read(signal: AbortSignal): Promise<readonly SourceReading[]> {
    let open: Open | undefined;
    try {
      open = await this.#opened(signal);
      const pushed = this.#pushed;
      this.#pushed = undefined;
      const asked = { open, signal };
      const { encodeRef, decodeIsActive } = open.proto;
      const isActive =
        pushed ?? (await this.#call(asked, 'IsActive', [this.#ref, encodeRef, decodeIsActive]));
      this.#wasActive = isActive;
      const specs = await this.#specsOf(asked);
      const values = await Promise.all(this.#namesWanted(specs).map((name) => this.#values(asked, name)));
      const byName = new Map(values.flat().map(({ metricName, value }) => [metricName, value]));
      return this.#rule.questions.map((question) => readingOf(question, specs, { byName, isActive }));
    } catch (error) {
      if (open && open === this.#open) this.#drop();
      throw describe(error);
    }
  }

  /** A poll that ends late may have been followed by another, which has opened its own. */
  async #opened(signal: AbortSignal): Promise<Open> {
    if (this.#open) return this.#open;
    const open = await this.#connect(signal);
    if (!this.#isClosed && !signal.aborted) return (this.#open = open);
    open.client.close();
    throw new Error('closed');
  }

  follow(onChange: () => void): void {
    this.#heard = 0;
    this.#stream?.resume();
    if (this.#stream || this.#hasNoStream || !this.#open || this.#isClosed) return;
    const { client, proto } = this.#open;
    const stream = client.makeServerStreamRequest(
      `${SERVICE}StreamIsActive`,
      proto.encodeRef,
      proto.decodeIsActive,
      this.#ref,
      this.#metadata(this.#open),
    );
    this.#stream = stream;
    let isFirst = true;
    stream.on('data', (isActive: boolean) => {
      // It says at its start how things are, which was asked for just now.
      const isChange = !isFirst || isActive !== this.#wasActive;
      isFirst = false;
      if (!isChange) return;
      this.#pushed = isActive;
      // The last one counts. A flood stays with the sender until it was asked.
      if (++this.#heard >= MAX_HEARD) stream.pause();
      onChange();
    });
    const end = (): void => {
      if (this.#stream === stream) this.#stream = undefined;
    };
    stream.on('error', ({ code }: ServiceError) => {
      if (code === UNIMPLEMENTED) this.#hasNoStream = true;
      end();
    });
    stream.on('end', end);
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #drop(): void {
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#open?.client.close();
    this.#open = this.#specs = undefined;
  }

  async #connect(signal: AbortSignal): Promise<Open> {
    const url = new URL(this.#place.url);
    const isTls = url.protocol === 'grpcs:';
    const port = url.port || (isTls ? '443' : '80');
    const place = `http://${url.hostname}:${port}`;
    const address = await this.#reach.address(this.#rule.of.namespace, place, signal);
    // A bundle has what this library exports as its default alone.
    const loaded: GrpcModule & { readonly default?: GrpcModule } = await import('@grpc/grpc-js');
    const grpc = loaded.default ?? loaded;
    const proto = await import('./external-proto.ts');
    const { ca, cert, key } = this.#rule.credentials;
    const credentials = isTls
      ? grpc.credentials.createSsl(pem(ca), pem(key), pem(cert))
      : grpc.credentials.createInsecure();
    const host = isIPv6(address) ? `ipv6:[${address}]` : `ipv4:${address}`;
    const client = new grpc.Client(`${host}:${port}`, credentials, {
      'grpc.default_authority': url.host,
      ...(isTls && { 'grpc.ssl_target_name_override': url.hostname }),
      'grpc.max_receive_message_length': MAX_GRPC_BYTES,
      'grpc.max_metadata_size': MAX_GRPC_BYTES,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 5_000,
    });
    return { grpc, proto, client };
  }

  #metadata({ grpc }: Library): InstanceType<Library['grpc']['Metadata']> {
    const metadata = new grpc.Metadata();
    const { token } = this.#rule.credentials;
    if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
    return metadata;
  }

  #call<Q, A>(
    { open, signal }: Asked,
    method: string,
    [question, encode, decode]: [Q, (question: Q) => Buffer, (bytes: Buffer) => A],
  ): Promise<A> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const metadata = this.#metadata(open);
      const options = { deadline: Date.now() + CALL_MS };
      const done = (error: ServiceError | null, answer?: A): void => {
        signal.removeEventListener('abort', cancel);
        if (error) reject(error);
        else resolve(answer as A);
      };
      const { client } = open;
      const call = client.makeUnaryRequest(
        SERVICE + method,
        encode,
        decode,
        question,
        metadata,
        options,
        done,
      );
      const cancel = (): void => call.cancel();
      signal.addEventListener('abort', cancel);
    });
  }

  async #specsOf(asked: Asked): Promise<readonly MetricSpec[]> {
    const nowMs = performance.now();
    if (this.#specs && nowMs - this.#specs.atMs < SPECS_MS) return this.#specs.list;
    const { encodeRef, decodeMetricSpecs } = asked.open.proto;
    const all = await this.#call(asked, 'GetMetricSpec', [this.#ref, encodeRef, decodeMetricSpecs]);
    if (all.length === 0) throw new Error('GetMetricSpec names no metric');
    this.#specs = { list: all.slice(0, MAX_METRICS), atMs: nowMs };
    return this.#specs.list;
  }

  /** Each once, whatever many triggers ask for it. */
  #namesWanted(specs: readonly MetricSpec[]): string[] {
    const wanted = new Set(this.#rule.questions.map(({ metricName }) => metricName));
    const names = specs.map(({ metricName }) => metricName);
    return names.filter((name) => wanted.has('') || wanted.has(name));
  }

  #values(asked: Asked, metricName: string): Promise<MetricValue[]> {
    const { encodeMetricsRequest, decodeMetricValues } = asked.open.proto;
    const question = { ref: this.#ref, metricName };
    return this.#call(asked, 'GetMetrics', [question, encodeMetricsRequest, decodeMetricValues]);
  }
}

interface Answers {
  readonly byName: ReadonlyMap<string, number>;
  readonly isActive: boolean;
}

/** Without a MetricName it is the largest of all, as an autoscaler takes it. */
function readingOf(
  { metricName, hasOwnTarget }: SourceQuestion,
  specs: readonly MetricSpec[],
  { byName, isActive }: Answers,
): SourceReading {
  const asked = specs.filter((spec) => metricName === '' || spec.metricName === metricName);
  if (asked.length === 0) {
    const known = specs
      .map((spec) => spec.metricName)
      .join(', ')
      .slice(0, 200);
    return { value: undefined, fault: `it has no metric ${metricName}; it has ${known}` };
  }
  const parts = asked.map((spec) => {
    const value = byName.get(spec.metricName) ?? Number.NaN;
    return hasOwnTarget ? value / spec.target : value;
  });
  const value = Math.max(...parts);
  if (Number.isFinite(value)) return { value, isActive };
  const why = hasOwnTarget
    ? 'GetMetrics or GetMetricSpec gave no number above 0'
    : 'GetMetrics gave no number';
  return { value: undefined, fault: why };
}

function pem(text: string | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}

function describe(error: unknown): Error {
  const { details, code } = error as Partial<ServiceError>;
  if (typeof code !== 'number') return error as Error;
  return new Error(`gRPC status ${code}: ${String(details).slice(0, 200)}`, { cause: error });
}
