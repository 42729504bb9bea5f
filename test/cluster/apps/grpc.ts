/** The echo service of test/helpers/grpc.ts, with the health service that Kubernetes' gRPC probes ask. */
import { startGrpcApp } from '../../helpers/grpc.ts';

const { server } = await startGrpcApp('0.0.0.0', {}, Number(process.env['PORT'] ?? 5000));
const bytes = (value: Buffer): Buffer => value;
const SERVING = Buffer.from([8, 1]); // field 1, the enum's value 1
server.addService(
  {
    check: {
      path: '/grpc.health.v1.Health/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  },
  { check: (_: unknown, answer: (error: null, value: Buffer) => void) => answer(null, SERVING) },
);
process.once('SIGTERM', () => server.tryShutdown(() => undefined));
