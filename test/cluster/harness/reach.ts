/**
 * How this process reaches a Service: straight, where the cluster's addresses can be dialled from here, and else
 * through `kubectl port-forward`, which is begun again when the pod at its other end goes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import type { Clients } from './clients.ts';
import type { RunContext } from './settings.ts';

export interface Reach {
  readonly host: string;
  readonly port: number;
  close(): void;
}

const DIAL_TIMEOUT_MS = 1_000;
const REFUSED_TRIES = 25;
const REFUSED_PAUSE_MS = 200;

export async function openReach(
  clients: Clients,
  context: RunContext,
  namespace: string,
  service: string,
  port: number,
): Promise<Reach> {
  const object = await clients.get(`/api/v1/namespaces/${namespace}/services/${service}`);
  const host = object?.['spec'].clusterIP as string | undefined;
  if (host === undefined) throw new Error(`no Service ${namespace}/${service}`);
  if (await canDial(host, port)) return { host, port, close: () => undefined };
  return forward(context.settings.kubectl, namespace, `service/${service}`, port);
}

/** A Service that was made a moment ago refuses until kube-proxy has heard of its pods. */
async function canDial(host: string, port: number): Promise<boolean> {
  for (let tries = 0; tries < REFUSED_TRIES; tries++) {
    const outcome = await dial(host, port);
    if (outcome !== 'refused') return outcome === 'connected';
    await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
  }
  return false;
}

function dial(host: string, port: number): Promise<'connected' | 'refused' | 'unreachable'> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: 'connected' | 'refused' | 'unreachable'): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(DIAL_TIMEOUT_MS, () => end('unreachable'));
    socket.on('connect', () => end('connected'));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' ? 'refused' : 'unreachable'),
    );
  });
}

async function forward(
  [program = '', ...first]: readonly string[],
  namespace: string,
  target: string,
  port: number,
): Promise<Reach> {
  let isOver = false;
  let child: ChildProcess;
  const begin = (local: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const args = [...first, 'port-forward', '--namespace', namespace, target, `${local || ''}:${port}`];
      child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      let text = '';
      const read = (chunk: Buffer): void => {
        text += chunk.toString();
        const found = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(text);
        if (found) resolve(Number(found[1]));
        // It says so, and goes on listening for a pod that is gone.
        if (text.includes('lost connection to pod')) child.kill();
      };
      child.stdout?.on('data', read);
      child.stderr?.on('data', read);
      child.once('exit', () => {
        reject(new Error(`kubectl port-forward ${target}: ${text}`));
        if (!isOver) setTimeout(() => void begin(local).catch(() => undefined), 200);
      });
    });
  const local = await begin(0);
  return {
    host: '127.0.0.1',
    port: local,
    close() {
      isOver = true;
      child.kill();
    },
  };
}
