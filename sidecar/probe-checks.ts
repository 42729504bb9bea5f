/**
 * One check of each kind of probe: resolves true when it passed, false for everything else, never rejects.
 * Each uses a fresh connection, as the kubelet does, so that a check never rides on an old one to an app that
 * no longer accepts.
 */
import type { RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { http } from '../common/node-http.ts';
import type { ProbeSpec } from './probe-spec.ts';

type Checkable = Exclude<ProbeSpec, { kind: 'none' | 'kubernetes' }>;

export function checkProbe(spec: Checkable, host: string): Promise<boolean> {
  switch (spec.kind) {
    case 'tcp':
      return checkTcp(host, spec.port, spec.timing.timeoutMs);
    case 'http':
      return checkHttp(spec, host);
    case 'grpc':
      return import('./probe-grpc.ts').then(({ checkGrpc }) => checkGrpc(spec, host));
  }
}

export function checkTcp(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (hasPassed: boolean): void => {
      socket.destroy();
      resolve(hasPassed);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** 200–399 passes, as with the kubelet; a redirect is not followed, because its being sent is enough. */
async function checkHttp(spec: Extract<ProbeSpec, { kind: 'http' }>, host: string): Promise<boolean> {
  const send = spec.isHttps ? (await import('node:https')).request : http.request;
  return new Promise((resolve) => {
    const req = send({ ...httpOptions(spec, host), signal: AbortSignal.timeout(spec.timing.timeoutMs) });
    req.once('response', (res) => {
      const status = res.statusCode ?? 0;
      res.destroy();
      resolve(status >= 200 && status < 400);
    });
    req.on('error', () => resolve(false));
    req.end();
  });
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
