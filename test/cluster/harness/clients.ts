/** kubectl and helm as commands, and the API server by HTTP through `kubectl proxy`, which is cheaper to ask often. */
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import type { Settings } from './settings.ts';

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export interface CommandOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** Never rejects because of what the command says; look at `code`. */
export function runCommand(
  command: readonly string[],
  args: readonly string[],
  { input = '', timeoutMs = 120_000 }: CommandOptions = {},
): Promise<CommandResult> {
  const [program = '', ...first] = command;
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(program, [...first, ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ stdout, stderr: error && stderr === '' ? error.message : stderr, code });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** @returns its standard output. @throws Error with what it said on standard error */
export async function mustRun(
  command: readonly string[],
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { stdout, stderr, code } = await runCommand(command, args, options);
  if (code !== 0)
    throw new Error(`${[...command, ...args].join(' ')}: ${code} ${stderr}${stdout.slice(0, 2_000)}`);
  return stdout;
}

export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly generation?: number;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  // oxlint-disable-next-line typescript/no-explicit-any -- spec and status differ by kind
  readonly [field: string]: any;
}

export interface Clients {
  /** @throws Error with what kubectl said */
  kubectl(args: readonly string[], options?: CommandOptions): Promise<string>;
  tryKubectl(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  helm(args: readonly string[], options?: CommandOptions): Promise<string>;
  tryHelm(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** `kubectl apply --server-side` of objects: a large ConfigMap has no room for a copy of itself. */
  apply(...objects: readonly object[]): Promise<void>;
  /** @returns undefined when there is none. @throws Error with what the API server said */
  get(path: string): Promise<KubeObject | undefined>;
  list(path: string): Promise<KubeObject[]>;
  /** Any other request to the API server. */
  send(method: string, path: string, body?: unknown, type?: string): Promise<ApiAnswer>;
}

export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

export function createClients(settings: Settings, apiUrl: string): Clients {
  const send = (method: string, path: string, body?: unknown, type = 'application/json') =>
    sendToApi(new URL(path, apiUrl), method, type, body);
  const read = async (path: string): Promise<ApiAnswer> => {
    const answer = await send('GET', path);
    if (answer.status !== 200 && answer.status !== 404)
      throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
    return answer;
  };
  return {
    kubectl: (args, options) => mustRun(settings.kubectl, args, options),
    tryKubectl: (args, options) => runCommand(settings.kubectl, args, options),
    helm: (args, options) => mustRun(settings.helm, args, options),
    tryHelm: (args, options) => runCommand(settings.helm, args, options),
    async apply(...objects) {
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      await mustRun(settings.kubectl, ['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
    },
    async get(path) {
      const { status, text } = await read(path);
      return status === 404 ? undefined : (JSON.parse(text) as KubeObject);
    },
    async list(path) {
      const { status, text } = await read(path);
      return status === 404 ? [] : (JSON.parse(text) as { items: KubeObject[] }).items;
    },
    send,
  };
}

function sendToApi(url: URL, method: string, type: string, body: unknown): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': type };
    const req = request(url, { method, headers, timeout: 130_000 }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      res.on('error', reject).on('end', () => resolve({ status: res.statusCode ?? 0, text }));
    });
    req
      .on('error', reject)
      .on('timeout', () => req.destroy(new Error(`${method} ${url.pathname}: no answer`)));
    req.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  });
}
