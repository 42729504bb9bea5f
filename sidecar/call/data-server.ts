/**
 * The data port (15080): decides at the door what a request is, and hands it on. Node's server and the relay
 * alone, without Koa: its tenth of a hop's cost and its 40 ms of a cold start would buy one `if` here.
 *
 * Room `sidecar/call`: One call in the pod: admit, relay, retry.
 * Comes in: a request on port 15080.
 * Goes out: the answer of the app, or a refusal.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Place } from '../limits/breaker.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { RefusalReason } from '../../common/function/names.ts';
import { asReason, sendReason, sendReasonOnSocket } from '../../common/runtime/reason-answer.ts';
import {
  createEdgeServer,
  nodeBody,
  nodeSink,
  serveHead,
  type RequestHead,
} from '../../common/relay/index.ts';
import { watchEarlyBytes, type EarlyBytes } from '../../common/tunnel/early-bytes.ts';
import { SidecarCall } from './sidecar-call.ts';
import type { SidecarContext } from '../context.ts';
import type { OpenTunnels } from './open-tunnels.ts';
import { refuse, refuseUpgrade } from './refuse.ts';
import { refuseStranger, refuseStrangersUpgrade } from './stranger.ts';
import { forTheApp, readProxysWords, type ProxysWords } from './own-headers.ts';

/** Longer than the 30 s that a proxy keeps an idle connection: so the proxy closes first, and no call is sent into a closing one. */
const DATA_KEEP_ALIVE_MS = 75_000;

/** Its clients are proxies, which keep few connections idle; a tenant's pods might open any number. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;

/** Kubernetes' own probes are answered with the function's place count untouched, full or not. */
const PROBE_TIMEOUTS = { connectMs: 1_000, headMs: 30_000, idleMs: 30_000 };

export function createDataServer(context: SidecarContext, tunnels: OpenTunnels): Server {
  const server = createEdgeServer(
    (req, res) => serve(context, req, res),
    {
      keepAliveMs: DATA_KEEP_ALIVE_MS,
      maxConnections: context.maxConnections,
      maxIdleBytes: MAX_IDLE_BYTES,
    },
    (limit) => {
      if (limit === 'connections' || limit === 'idle-bytes') context.stats.refuse('too-busy');
    },
  );
  server.on('upgrade', (req, socket, head) => serveUpgrade(context, tunnels, { req, socket, head }));
  return server;
}

function serve(context: SidecarContext, req: IncomingMessage, res: ServerResponse): void {
  const head = readHead(context, req, res);
  if (!head) return;
  const words = readProxysWords(req.rawHeaders);
  const entry = context.callers.enter(req, words.proof);
  if (typeof entry === 'object') return refuseStranger(context, res, entry.why, words.wantsRefusal);
  if (entry === 'direct') return void new SidecarCall(context, req, res, head).queue();
  if (!words.wantsRefusal) {
    if (isKubeProbe(req)) return passProbe(context, req, res, head);
    return void new SidecarCall(context, req, res, head).queue();
  }
  const place = enterForProxy(context, words);
  if (typeof place !== 'string') return new SidecarCall(context, req, res, head, true).run(place);
  if (place === 'full' && words.meant === undefined && context.olderProxies.mayWait)
    return void waitForOlderProxy(context, req, res, head);
  refuse(context, res, place);
}

/** The place that was granted to this call, else one that is free. */
function enterForProxy(context: SidecarContext, { meant, place }: ProxysWords): Place | RefusalReason {
  // First of all: a place that was granted to another pod's caller means nothing here.
  if (meant !== undefined && meant !== context.identity && context.identity !== undefined) return 'elsewhere';
  const granted = place === undefined ? undefined : context.placeLines.claim(place);
  return granted ?? context.admission.tryEnter();
}

async function waitForOlderProxy(
  context: SidecarContext,
  req: IncomingMessage,
  res: ServerResponse,
  head: RequestHead,
): Promise<void> {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  res.once('close', leave);
  const place = await context.olderProxies.wait(leaving.signal);
  res.off('close', leave);
  if (!place) return refuse(context, res, 'full');
  if (leaving.signal.aborted) return place.release();
  new SidecarCall(context, req, res, head, true).run(place);
}

function readHead(
  context: SidecarContext,
  req: IncomingMessage,
  res: ServerResponse,
): RequestHead | undefined {
  try {
    return headForTheApp(context, req);
  } catch (error) {
    res.shouldKeepAlive = false;
    sendReason(res, asReason(error));
    return undefined;
  }
}

/** @throws ReasonError for what must not go on */
function headForTheApp(context: SidecarContext, req: IncomingMessage): RequestHead {
  const head = serveHead(req);
  if (context.app.port === 0) {
    throw new ReasonError(
      'upstream-failed',
      'this workload has no HTTP port; name one with slimfaas.dev/port',
    );
  }
  return { ...head, headers: forTheApp(head.headers) };
}

/** A proxy's calls never get here, so nobody outside can pass for a probe to get round the limit. */
function isKubeProbe(req: IncomingMessage): boolean {
  return req.headers['user-agent']?.startsWith('kube-probe/') === true;
}

function passProbe(
  context: SidecarContext,
  req: IncomingMessage,
  res: ServerResponse,
  head: RequestHead,
): void {
  const request = {
    target: context.app,
    head,
    body: nodeBody(req),
    sink: nodeSink(res),
    timeouts: PROBE_TIMEOUTS,
  };
  context.relay.exchange(request, (outcome) => {
    if (outcome.kind === 'failed' || outcome.kind === 'timeout') {
      sendReason(res, asReason(outcome.kind === 'failed' ? outcome.error : new Error('no answer in time')));
    }
  });
}

interface Upgrade {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

function serveUpgrade(context: SidecarContext, tunnels: OpenTunnels, { req, socket, head }: Upgrade): void {
  const early = watchEarlyBytes(socket, head);
  const words = readProxysWords(req.rawHeaders);
  const entry = context.callers.enter(req, words.proof);
  if (typeof entry === 'object')
    return refuseStrangersUpgrade(context, socket, entry.why, words.wantsRefusal);
  const place = words.wantsRefusal && entry !== 'direct' ? enterForProxy(context, words) : undefined;
  if (typeof place === 'string') return refuseUpgrade(context, socket, place);
  void startUpgrade(context, tunnels, { req, socket, early, place });
}

async function startUpgrade(
  context: SidecarContext,
  tunnels: OpenTunnels,
  { req, socket, early, place }: Omit<Upgrade, 'head'> & { early: EarlyBytes; place: Place | undefined },
): Promise<void> {
  try {
    const head = headForTheApp(context, req);
    const { SidecarUpgrade } = await import('./sidecar-upgrade.ts');
    const request = { req, socket, early, head };
    await new SidecarUpgrade(context, tunnels, request).run(place);
  } catch (error) {
    place?.release();
    sendReasonOnSocket(socket, asReason(error));
  }
}
