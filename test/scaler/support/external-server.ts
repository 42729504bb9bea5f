/**
 * An external scaler of KEDA's protocol, on grpc-js and protobufjs: messages are read and written by their names, as the
 * protocol's own file defines them. What it says is a test's to set.
 */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const PROTO = `syntax = "proto3"; package externalscaler;
  message Ref { string name = 1; string namespace = 2; map<string, string> scalerMetadata = 3; }
  message IsActive { bool result = 1; }
  message Spec { string metricName = 1; int64 targetSize = 2; double targetSizeFloat = 3; }
  message Specs { repeated Spec metricSpecs = 1; }
  message Asked { Ref scaledObjectRef = 1; string metricName = 2; }
  message Value { string metricName = 1; int64 metricValue = 2; double metricValueFloat = 3; }
  message Values { repeated Value metricValues = 1; }`;

const { root } = protobuf.parse(PROTO, { keepCase: true });

interface Asked {
  readonly scaledObjectRef?: object;
  readonly metricName?: string;
}

function method(name: string, [asks, answers]: [string, string], responseStream = false) {
  const [asked, answer] = [
    root.lookupType(`externalscaler.${asks}`),
    root.lookupType(`externalscaler.${answers}`),
  ];
  return {
    path: `/externalscaler.ExternalScaler/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: (value: object) => Buffer.from(asked.encode(value).finish()),
    requestDeserialize: (bytes: Buffer) => asked.toObject(asked.decode(bytes), { defaults: true }),
    responseSerialize: (value: object) => Buffer.from(answer.encode(answer.fromObject(value)).finish()),
    responseDeserialize: (bytes: Buffer) => answer.decode(bytes),
  };
}

const SERVICE = {
  isActive: method('IsActive', ['Ref', 'IsActive']),
  streamIsActive: method('StreamIsActive', ['Ref', 'IsActive'], true),
  getMetricSpec: method('GetMetricSpec', ['Ref', 'Specs']),
  getMetrics: method('GetMetrics', ['Asked', 'Values']),
};

type Unary = grpc.handleUnaryCall<object, object>;

export class ExternalServer {
  isActive = false;
  specs: object[] = [{ metricName: 'backlog', targetSize: 5 }];
  values: Record<string, object> = { backlog: { metricValue: 0 } };
  /** What every call was asked of. */
  ref: unknown;
  authorization: unknown;
  calls = 0;
  /** From now on no call is answered. */
  isHanging = false;
  /** Calls without an answer that their caller has not ended. */
  open = 0;
  /** How long its caller gave the last call still, in ms: when it came, or when its caller ended it. */
  timeLeftMs = Infinity;
  readonly #server = new grpc.Server();
  readonly #streams = new Set<grpc.ServerWritableStream<object, object>>();

  /** @returns `host:port` */
  async start(t: TestContext, { hasStream = true } = {}): Promise<string> {
    const unary =
      (answer: (asked: Asked) => object): Unary =>
      (call, done) => {
        const { request, metadata } = call;
        this.calls += 1;
        const look = (): void => void (this.timeLeftMs = Number(call.getDeadline()) - Date.now());
        look();
        this.ref = (request as Asked).scaledObjectRef ?? request;
        [this.authorization] = metadata.get('authorization');
        if (!this.isHanging) return done(null, answer(request as Asked));
        this.open += 1;
        call.once('cancelled', () => {
          this.open -= 1;
          look();
        });
      };
    const { streamIsActive: _stream, ...others } = SERVICE;
    this.#server.addService(hasStream ? SERVICE : (others as typeof SERVICE), {
      isActive: unary(() => ({ result: this.isActive })),
      getMetricSpec: unary(() => ({ metricSpecs: this.specs })),
      getMetrics: unary(({ metricName = '' }) => ({
        metricValues: [{ metricName, ...this.values[metricName] }],
      })),
      ...(hasStream && {
        streamIsActive: (call: grpc.ServerWritableStream<object, object>) => this.#stream(call),
      }),
    });
    const port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    t.after(() => this.#server.forceShutdown());
    return `127.0.0.1:${port}`;
  }

  #stream(call: grpc.ServerWritableStream<object, object>): void {
    this.#streams.add(call);
    call.write({ result: this.isActive });
    void once(call, 'cancelled').then(() => this.#streams.delete(call));
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Says it on all streams. */
  push(isActive: boolean): void {
    this.isActive = isActive;
    for (const stream of this.#streams) stream.write({ result: isActive });
  }
}
