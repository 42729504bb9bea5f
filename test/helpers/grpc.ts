/**
 * A gRPC service of all four kinds, and its client, on grpc-js: a peer that is not ours. Messages are text, so
 * nothing has to be generated.
 */
import grpc from '@grpc/grpc-js';

const text = {
  serialize: (value: string): Buffer => Buffer.from(value),
  deserialize: (bytes: Buffer): string => bytes.toString(),
};

function method(name: string, requestStream: boolean, responseStream: boolean) {
  return {
    path: `/test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  };
}

export const echoService = {
  unary: method('Unary', false, false),
  serverStream: method('ServerStream', false, true),
  clientStream: method('ClientStream', true, false),
  bidi: method('Bidi', true, true),
};

export interface EchoHandlers {
  unary(call: grpc.ServerUnaryCall<string, string>, answer: grpc.sendUnaryData<string>): void;
  serverStream(call: grpc.ServerWritableStream<string, string>): void;
  clientStream(call: grpc.ServerReadableStream<string, string>, answer: grpc.sendUnaryData<string>): void;
  bidi(call: grpc.ServerDuplexStream<string, string>): void;
}

/** Echoes; `ServerStream` gives each letter by itself, `ClientStream` joins what it got. */
const ECHO: EchoHandlers = {
  unary: (call, answer) => answer(null, `echo ${call.request}`),
  serverStream(call) {
    for (const letter of call.request) call.write(letter);
    call.end();
  },
  clientStream(call, answer) {
    const parts: string[] = [];
    call.on('data', (part: string) => parts.push(part));
    call.on('end', () => answer(null, parts.join('+')));
  },
  bidi(call) {
    call.on('data', (part: string) => call.write(`echo ${part}`));
    call.on('end', () => call.end());
  },
};

export interface GrpcApp extends AsyncDisposable {
  readonly port: number;
  readonly server: grpc.Server;
}

export async function startGrpcApp(
  host: string,
  handlers: Partial<EchoHandlers> = {},
  wanted = 0,
): Promise<GrpcApp> {
  const server = new grpc.Server();
  const all: EchoHandlers = { ...ECHO, ...handlers };
  server.addService(echoService, all as unknown as grpc.UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${wanted}`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    port,
    server,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await Promise.resolve();
    },
  };
}

export interface EchoClient extends Disposable {
  unary(value: string, options?: CallOptions): Promise<UnaryAnswer>;
  serverStream(value: string, options?: CallOptions): grpc.ClientReadableStream<string>;
  clientStream(options?: CallOptions): {
    readonly call: grpc.ClientWritableStream<string>;
    readonly answer: Promise<string>;
  };
  bidi(options?: CallOptions): grpc.ClientDuplexStream<string, string>;
}

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  /** Aborted when the caller leaves. */
  readonly signal?: AbortSignal;
}

export interface UnaryAnswer {
  readonly value: string;
  readonly metadata: grpc.Metadata;
  readonly trailers: grpc.Metadata;
}

/** @param fn sent as `slimfaas-function`; undefined: not sent */
export function echoClient(
  target: string,
  fn: string | undefined,
  credentials: grpc.ChannelCredentials = grpc.credentials.createInsecure(),
): EchoClient {
  // Its own retries would hide ours, and each client is to have a connection of its own.
  const channel = { 'grpc.enable_retries': 0, 'grpc.use_local_subchannel_pool': 1 };
  const client = new grpc.Client(target, credentials, channel);
  const { unary, serverStream, clientStream, bidi } = echoService;
  const of = ({ metadata = {}, deadlineMs }: CallOptions): [grpc.Metadata, grpc.CallOptions] => {
    const all = new grpc.Metadata();
    if (fn !== undefined) all.set('slimfaas-function', fn);
    for (const [name, value] of Object.entries(metadata)) all.set(name, value);
    return [all, deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }];
  };
  return {
    unary: (value, options = {}) =>
      new Promise((resolve, reject) => {
        let metadata = new grpc.Metadata();
        let found = '';
        const { path, requestSerialize, responseDeserialize } = unary;
        const call = client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          value,
          ...of(options),
          (error, answer) => (error ? reject(error) : (found = answer ?? '')),
        );
        call.on('metadata', (received: grpc.Metadata) => (metadata = received));
        call.on('status', (status) => {
          if (status.code === grpc.status.OK) resolve({ value: found, metadata, trailers: status.metadata });
        });
        options.signal?.addEventListener('abort', () => call.cancel());
      }),
    serverStream: (value, options = {}) =>
      client.makeServerStreamRequest(
        serverStream.path,
        text.serialize,
        text.deserialize,
        value,
        ...of(options),
      ),
    clientStream(options = {}) {
      let call!: grpc.ClientWritableStream<string>;
      const answer = new Promise<string>((resolve, reject) => {
        const done = (error: Error | null, value?: string): void =>
          error ? reject(error) : resolve(value ?? '');
        const [metadata, callOptions] = of(options);
        const { path } = clientStream;
        call = client.makeClientStreamRequest(
          path,
          text.serialize,
          text.deserialize,
          metadata,
          callOptions,
          done,
        );
      });
      return { call, answer };
    },
    bidi: (options = {}) =>
      client.makeBidiStreamRequest(bidi.path, text.serialize, text.deserialize, ...of(options)),
    [Symbol.dispose]: () => client.close(),
  };
}
