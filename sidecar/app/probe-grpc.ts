/**
 * The gRPC health check (grpc.health.v1.Health/Check) on node:http2. Its two one-field messages are written and read
 * by hand, because a protobuf library would weigh more than the whole sidecar. Loaded only where a pod declares a
 * grpc probe. It reads no more of the answer than "is it SERVING".
 */
import { connect } from 'node:http2';
import { withBrackets } from '../../common/runtime/brackets.ts';

interface GrpcCheck {
  readonly port: number;
  readonly service: string;
  readonly timing: { readonly timeoutMs: number };
}

const SERVING = 1;

export function checkGrpc(spec: GrpcCheck, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connect(withBrackets(`http://${host}:${spec.port}`));
    const end = (hasPassed: boolean): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(hasPassed);
    };
    const timer = setTimeout(() => end(false), spec.timing.timeoutMs);
    session.on('error', () => end(false));
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => end(false));
    stream.on('end', () => end(readStatus(Buffer.concat(chunks)) === SERVING));
    stream.end(checkRequest(spec.service));
  });
}

/** A gRPC frame (1 byte flags, 4 bytes length) around `{1: service}`; an empty service is an empty message. */
function checkRequest(service: string): Buffer {
  const name = Buffer.from(service);
  // Field 1, wire type 2. One length byte holds up to 127; Kubernetes allows no longer service names.
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length & 0x7f]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/** Field 1 (a varint, below 128) of the answer's message; an error is a gRPC status without a message. */
function readStatus(frame: Buffer): number | undefined {
  return frame.length >= 7 && frame[5] === 0x08 ? frame[6] : undefined;
}
