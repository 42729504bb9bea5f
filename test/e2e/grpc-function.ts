/** A function that speaks gRPC and nothing else, as a process: the echo service on $HOST:$PORT until SIGTERM. */
import { startGrpcApp } from '../helpers/grpc.ts';

const { HOST = '127.0.0.1', PORT = '5000' } = process.env;
const app = await startGrpcApp(HOST, {}, Number(PORT));
process.on('SIGTERM', () => app.server.tryShutdown(() => process.exit(0)));
