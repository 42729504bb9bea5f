/**
 * One attempt at a probe's or a hook's handler: httpGet, tcpSocket, exec, grpc, sleep. Resolves with why it
 * failed, worded as the kubelet words it in its events, or with undefined for success.
 */
import { spawn } from 'node:child_process';
import { get as httpGet, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import { describeError } from '../../../../common/runtime/errors.ts';
import { sleep } from '../../../../common/runtime/lifecycle.ts';
import { signalGroup } from './process.ts';
import type { Watchdog } from '../pods/watchdog.ts';
import { resolvePort, type ContainerSpec, type Handler, type HttpGet } from '../pods/pod-spec.ts';

export interface HandlerContext {
  readonly container: ContainerSpec;
  readonly podIp: string;
  /** For exec: what the container's own command got. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly rewrite: (text: string) => string;
  /** Ends what exec has started when this process is killed. */
  readonly watchdog: Pick<Watchdog, 'watch' | 'forget'>;
}

export type HandlerResult = string | undefined;

/** `signal` ends the attempt; it then counts as failed and nobody reads why. */
export async function runHandler(
  handler: Handler,
  context: HandlerContext,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<HandlerResult> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
  try {
    if (handler.httpGet) return await checkHttp(handler.httpGet, context, limit);
    if (handler.tcpSocket) {
      const { host, port } = handler.tcpSocket;
      return await checkTcp(host || context.podIp, resolvePort(port, context.container), limit);
    }
    if (handler.grpc) return await checkGrpc(context.podIp, handler.grpc, limit);
    if (handler.exec) return await checkExec(handler.exec.command ?? [], context, limit);
    if (handler.sleep) await sleep(handler.sleep.seconds * 1000, limit);
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}

function checkHttp(spec: HttpGet, context: HandlerContext, signal: AbortSignal): Promise<HandlerResult> {
  const { path = '/', scheme = 'HTTP', httpHeaders = [] } = spec;
  const host = spec.host || context.podIp;
  const port = resolvePort(spec.port, context.container);
  const url = `${scheme.toLowerCase()}://${host}:${port}${path.startsWith('/') ? '' : '/'}${path}`;
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.32', accept: '*/*' };
  for (const { name, value } of httpHeaders) headers[name.toLowerCase()] = value;
  return new Promise((resolve) => {
    const settle = (response: IncomingMessage) => {
      response.resume();
      response.on('error', () => undefined);
      request.destroy();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400 ? undefined : `HTTP probe failed with statuscode: ${status}`);
    };
    const request: ClientRequest =
      scheme === 'HTTPS'
        ? httpsGet(url, { headers, agent: false, signal, rejectUnauthorized: false }, settle)
        : httpGet(url, { headers, agent: false, signal }, settle);
    request.on('error', (error) => resolve(`Get "${url}": ${dialError(error, host, port, signal)}`));
  });
}

function checkTcp(host: string, port: number, signal: AbortSignal): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve(dialError(error, host, port, signal)));
  });
}

function dialError(error: Error, host: string, port: number, signal: AbortSignal): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (signal.aborted) return 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';
  if (code === 'ECONNREFUSED') return `dial tcp ${host}:${port}: connect: connection refused`;
  return code === 'ECONNRESET' ? 'EOF' : error.message;
}

/** The probe runs where the container's command runs, with its environment, and dies with its time. */
function checkExec(
  command: readonly string[],
  context: HandlerContext,
  signal: AbortSignal,
): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const [file = '', ...args] = command.map(context.rewrite);
    const child = spawn(file, args, {
      env: { ...context.env },
      cwd: context.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a group of its own: with the command ends what it started
    });
    const { pid } = child;
    if (pid !== undefined) context.watchdog.watch(pid);
    const end = () => void (pid !== undefined && signalGroup(pid, 'SIGKILL'));
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    let output = '';
    const collect = (chunk: Buffer) => {
      if (output.length < 1024) output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => resolve(error.message));
    child.once('exit', () => {
      signal.removeEventListener('abort', end);
      end();
      if (pid !== undefined) context.watchdog.forget(pid);
    });
    child.once('close', (code) => {
      if (signal.aborted) return resolve('command timed out');
      resolve(code === 0 ? undefined : output.trim() || `exit status ${code}`);
    });
  });
}

const SERVING = 1;

/** grpc.health.v1.Health/Check by hand: one string in, one enum out. */
function checkGrpc(
  host: string,
  { port, service = '' }: { port: number; service?: string },
  signal: AbortSignal,
): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const session = http2Connect(`http://${host}:${port}`);
    const done = (result: HandlerResult) => {
      session.destroy();
      resolve(result);
    };
    session.on('error', (error) => done(dialError(error, host, port, signal)));
    signal.addEventListener('abort', () => done('timeout: health rpc did not complete'), { once: true });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', (error) => done(dialError(error, host, port, signal)));
    stream.on('end', () => {
      // Five bytes of gRPC framing, then field 1 as a varint: 0x08, status.
      const status = Buffer.concat(chunks)[6] ?? 0;
      done(status === SERVING ? undefined : `service unhealthy (responded with "${status}")`);
    });
    stream.end(healthRequest(service));
  });
}

function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}
