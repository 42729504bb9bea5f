/** Calls over node:http, for what fetch does not show or allow: order, raw heads, leaving, many at once. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { request, type Agent, type ClientRequest, type IncomingMessage } from 'node:http';

export interface CallOptions {
  readonly agent?: Agent | undefined;
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Record<string, string>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** Sent, and never to fail the test by its end. */
export function startCall(url: string, options: CallOptions = {}): ClientRequest {
  const { agent, method = options.body === undefined ? 'GET' : 'POST', headers } = options;
  const call = request(url, { agent, method, headers });
  call.on('error', () => undefined);
  call.end(options.body);
  return call;
}

export async function callUrl(url: string, options: CallOptions = {}): Promise<Answer> {
  const call = startCall(url, options);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, text: await textOf(response) };
}

export async function textOf(response: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

/** What the server sends back to these bytes until it closes or `until` is there. */
export function rawCall(port: number, bytes: string, until?: string): Promise<string> {
  return rawCallTo('127.0.0.1', port, bytes, until);
}

export async function rawCallTo(host: string, port: number, bytes: string, until?: string): Promise<string> {
  const socket: Socket = connect(port, host);
  await once(socket, 'connect');
  socket.write(bytes, 'latin1');
  let text = '';
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1');
    if (until !== undefined && text.includes(until)) break;
  }
  socket.destroy();
  return text;
}
