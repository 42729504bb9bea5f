/**
 * What undici (llhttp) makes of an upstream's bytes, as a second opinion: its client on a socket that is only
 * a stream, fed with the bytes and then ended. About 0.3 ms an answer.
 */
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { Client } from 'undici';

export interface SecondOpinion {
  /** The answer came to its end. */
  isComplete: boolean;
  status: number;
  /** As they came: name, value, …; latin1. */
  headers: string[];
  body: string;
  error: Error | undefined;
}

export function undiciParse(bytes: string): Promise<SecondOpinion> {
  const opinion: SecondOpinion = { isComplete: false, status: 0, headers: [], body: '', error: undefined };
  const client = new Client('http://localhost', {
    connect: (_options, callback) => process.nextTick(callback, null, speakingSocket(bytes)),
    maxHeaderSize: 65_536,
  });
  return new Promise((resolve) => {
    const finish = () => {
      client.destroy().catch(() => undefined);
      resolve(opinion);
    };
    client.dispatch(
      { path: '/', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart(controller, status) {
          opinion.status = status;
          opinion.headers = ((controller.rawHeaders ?? []) as Buffer[]).map((part) =>
            part.toString('latin1'),
          );
        },
        onResponseData(_controller, chunk) {
          opinion.body += chunk.toString('latin1');
        },
        onResponseEnd() {
          opinion.isComplete = true;
          finish();
        },
        onResponseError(_controller, error) {
          opinion.error = error;
          finish();
        },
      },
    );
  });
}

/** Answers the first write with the bytes, and ends. */
function speakingSocket(bytes: string): Socket {
  let hasSpoken = false;
  const socket: Duplex = new Duplex({
    read() {},
    write(_chunk, _encoding, callback) {
      callback();
      if (hasSpoken) return;
      hasSpoken = true;
      setImmediate(() => {
        socket.push(Buffer.from(bytes, 'latin1'));
        socket.push(null);
      });
    },
  });
  const same = () => socket;
  return Object.assign(socket, {
    ref: same,
    unref: same,
    setNoDelay: same,
    setKeepAlive: same,
  }) as unknown as Socket;
}
