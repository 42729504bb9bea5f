/**
 * One check of each kind of probe: resolves true when it passed, false for everything else, never rejects.
 * Each uses a fresh connection, as the kubelet does, so that a check never rides on an old one to an app that
 * no longer accepts.
 */
import type { RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { http } from '../../common/runtime/node-http.ts';
import type { CheckSpec, ProbeSpec } from './probe-spec.ts';

/** Takes why a check failed, in words: the port or path, and what came instead. */
export type OnFailure = (why: string) => void;

export function checkProbe(spec: CheckSpec, host: string, onFailure?: OnFailure): Promise<boolean> {
  switch (spec.kind) {
    case 'tcp':
      return checkTcp(host, spec.port, spec.timing.timeoutMs, onFailure);
    case 'http':
      return checkHttp(spec, host, onFailure);
    case 'grpc':
      return checkGrpcProbe(spec, host, onFailure);
  }
}

export function checkTcp(
  host: string,
  port: number,
  timeoutMs: number,
  onFailure?: OnFailure,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (why: string | undefined): void => {
      socket.destroy();
      if (why !== undefined) onFailure?.(why);
      resolve(why === undefined);
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () =>
      end(`port ${port} does not take a connection within ${timeoutMs / 1_000} s`),
    );
    socket.once('error', (error) => end(wordsOf(error, port)));
  });
}

/** 200–399 passes, as with the kubelet; a redirect is not followed, because its being sent is enough. */
async function checkHttp(
  spec: Extract<ProbeSpec, { kind: 'http' }>,
  host: string,
  onFailure?: OnFailure,
): Promise<boolean> {
  const send = spec.isHttps ? (await import('node:https')).request : http.request;
  const { path, port, timing } = spec;
  return new Promise((resolve) => {
    const req = send({ ...httpOptions(spec, host), signal: AbortSignal.timeout(timing.timeoutMs) });
    const end = (why: string | undefined): void => {
      if (why !== undefined) onFailure?.(why);
      resolve(why === undefined);
    };
    req.once('response', (res) => {
      const status = res.statusCode ?? 0;
      res.destroy();
      const hasPassed = status >= 200 && status < 400;
      end(hasPassed ? undefined : `its readiness probe, GET ${path} on port ${port}, answers ${status}`);
    });
    req.on('error', (error) =>
      end(
        error.name === 'TimeoutError' || error.name === 'AbortError'
          ? `its readiness probe, GET ${path} on port ${port}, has no answer within ${timing.timeoutMs / 1_000} s`
          : wordsOf(error, port),
      ),
    );
    req.end();
  });
}

async function checkGrpcProbe(
  spec: Extract<ProbeSpec, { kind: 'grpc' }>,
  host: string,
  onFailure?: OnFailure,
): Promise<boolean> {
  const { checkGrpc } = await import('./probe-grpc.ts');
  const hasPassed = await checkGrpc(spec, host);
  if (!hasPassed)
    onFailure?.(`its readiness probe, the gRPC health check on port ${spec.port}, does not pass`);
  return hasPassed;
}

/** `port 8080 refuses connections: ECONNREFUSED`. */
function wordsOf(error: Error, port: number): string {
  const code = (error as NodeJS.ErrnoException).code ?? error.message;
  return code === 'ECONNREFUSED' ? `port ${port} refuses connections: ${code}` : `port ${port}: ${code}`;
}

function httpOptions(spec: Extract<ProbeSpec, { kind: 'http' }>, host: string): RequestOptions {
  const headers: Record<string, string> = { 'User-Agent': 'kube-probe/slimfaas', Accept: '*/*' };
  for (let i = 0; i + 1 < spec.headers.length; i += 2) {
    headers[spec.headers[i] as string] = spec.headers[i + 1] as string;
  }
  // rejectUnauthorized: the kubelet does not verify a probed certificate either.
  const tls = spec.isHttps ? { rejectUnauthorized: false } : {};
  return { host, port: spec.port, path: spec.path, headers, agent: false, ...tls };
}
