/** The local cluster's API server for one test file or test, and the real client library configured for it. */
import { KubeConfig } from '@kubernetes/client-node';
import { request } from 'node:https';
import { silentLog } from '../../common/runtime/log.ts';
import { startApiServer } from '../../packages/local-cluster/api/http/server.ts';
import type { ApiServer } from '../../packages/local-cluster/api/http/server.ts';
import type { KubeObject } from '../../packages/local-cluster/api/objects/types.ts';

/** Anything that can run something at its end: a test context, or `after` of node:test. */
export type AtEnd = (release: () => unknown) => void;

export async function startLocalApi(atEnd: AtEnd): Promise<ApiServer> {
  const server = await startApiServer({ host: '127.0.0.1', port: 0, log: silentLog });
  atEnd(() => server.stop());
  return server;
}

/** The client library as `user` (see {@link ApiServer.kubeconfig}). */
export function configFor(server: ApiServer, user?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromString(server.kubeconfig(user));
  return config;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever the server says
  readonly body: any;
}

export interface CallOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly type?: string;
  readonly user?: string;
  readonly headers?: Record<string, string>;
}

/** One request over HTTPS, for what the client library would hide. */
export function call(server: ApiServer, path: string, options: CallOptions = {}): Promise<Answer> {
  const { method = 'GET', body, type = 'application/json', user, headers } = options;
  const token = configFor(server, user).getCurrentUser()?.token;
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      server.url + path,
      {
        method,
        ca: server.caPem,
        agent: false,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': type,
          // Node sends none for DELETE by itself.
          'content-length': Buffer.byteLength(text),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          const isJson = response.headers['content-type']?.startsWith('application/json') ?? false;
          const parsed: unknown =
            isJson && answer !== '' && !answer.includes('}\n{') ? JSON.parse(answer) : answer;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}

const TEMPLATE = { spec: { containers: [{ name: 'main', image: 'main:1' }] } };

export function podManifest(name: string, rest: { metadata?: object; spec?: object } = {}): KubeObject {
  const metadata = { name, namespace: 'default', ...rest.metadata } as KubeObject['metadata'];
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...TEMPLATE.spec, ...rest.spec } };
}

export function deploymentManifest(name: string, spec: object = {}): KubeObject {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default', labels } as unknown as KubeObject['metadata'],
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, ...TEMPLATE }, ...spec },
  };
}
