/** What an API server does: POST a review over TLS to a name, trusting a caBundle and nothing else. */
import { Agent, request } from 'node:https';
import type { ClientRequest } from 'node:http';
import { text } from 'node:stream/consumers';

export const SERVER_NAME = 'slimfaas-webhook.slimfaas.svc';

export interface PostOptions {
  readonly host?: string;
  readonly port: number;
  readonly ca: string;
  readonly agent?: Agent;
  readonly method?: string;
  readonly path?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export function post(options: PostOptions, body: string): Promise<Answer> {
  const { call, answer } = open(options);
  call.end(body);
  return answer;
}

/** The request and its answer apart, for a body that is sent in pieces. */
export function open({
  host = '127.0.0.1',
  port,
  ca,
  agent,
  method = 'POST',
  path = '/mutate?timeout=5s',
}: PostOptions): {
  call: ClientRequest;
  answer: Promise<Answer>;
} {
  const call = request({
    host,
    servername: SERVER_NAME,
    agent: agent ?? false,
    port,
    ca,
    method,
    path,
    headers: { 'content-type': 'application/json' },
  });
  const answer = new Promise<Answer>((resolve, reject) => {
    call.once('error', reject);
    call.once('response', (response) => {
      text(response).then(
        (received) =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: received }),
        reject,
      );
    });
  });
  return { call, answer };
}
