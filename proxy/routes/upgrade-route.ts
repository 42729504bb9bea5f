/** Upgrades on `/function/{fn}/{path}`: from Node's `upgrade` event to an {@link UpgradeCall}. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';
import { asReason, sendReasonOnSocket } from '../../common/reason-answer.ts';
import { ReasonError } from '../../common/errors.ts';
import { HEADER } from '../../common/names.ts';
import { serveHead, type RawHeaders } from '../../common/relay/index.ts';
import type { FunctionLookup } from '../function-lookup.ts';
import { parseFunctionTarget } from '../function-path.ts';
import { forwardHeaders, isEncrypted } from '../headers.ts';
import type { Ids } from '../ids.ts';
import type { OpenUpgrades } from '../open-upgrades.ts';
import { plainAddress } from '../trust.ts';
import { UpgradeCall, type UpgradeDeps } from '../upgrade-call.ts';
import { heldBytes } from '../waiting-budget.ts';
import { FUNCTION_PREFIX } from './function-route.ts';

export interface UpgradeRouteDeps extends UpgradeDeps {
  readonly lookup: FunctionLookup;
  readonly ids: Ids;
  readonly open: OpenUpgrades;
}

export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer) => void;

export function createUpgradeRoute(deps: UpgradeRouteDeps): UpgradeHandler {
  return (req, socket, head) => {
    socket.on('error', () => undefined); // a reset; `close` follows, and that is what counts
    try {
      begin(req, socket, head, deps);
    } catch (error) {
      sendReasonOnSocket(socket, asReason(error));
    }
  };
}

function begin(req: IncomingMessage, socket: Duplex, head: Buffer, deps: UpgradeRouteDeps): void {
  const checked = serveHead(req);
  const target = parseFunctionTarget(checked.path, FUNCTION_PREFIX);
  if (!target) throw new ReasonError('unknown-function', 'upgrades are taken at /function/{name}/{path}');
  const entry = deps.lookup.forCall(req, target.name, target.path);
  const origin = { address: plainAddress(req.socket.remoteAddress ?? ''), isTls: isEncrypted(req.socket) };
  const raw = forwardHeaders(checked.headers, origin, deps.ids);
  const headers = { ...grouped(raw), Connection: 'Upgrade', Upgrade: req.headers.upgrade ?? '' };
  const release = deps.open.add(socket);
  const stopNoticing = noticeLeaving(socket, () => call.cancel());
  const call = new UpgradeCall(
    entry,
    {
      tunnel: { req, socket, head, path: target.path, headers },
      heldBytes: heldBytes(1024, undefined),
      fail: (error) => sendReasonOnSocket(socket, error),
      answer: (answer) => giveAnswer(socket, answer),
      onTry: stopNoticing,
      onOpen: () => {
        if (req.headers.upgrade?.toLowerCase() === 'websocket') deps.open.opened(socket);
      },
      onEnd: (end) => {
        release();
        // Whoever left by closing his half still has ours open.
        if (end.kind === 'cancelled') socket.destroy();
      },
    },
    deps,
  );
  call.start();
}

/** Node's raw list as an object; a name that comes twice gets a list. */
function grouped(raw: RawHeaders): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  const spelled = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const key = spelled.get(name.toLowerCase()) ?? name;
    spelled.set(name.toLowerCase(), key);
    const known = out[key];
    out[key] = known === undefined ? (raw[i + 1] as string) : [known, raw[i + 1] as string].flat();
  }
  return out;
}

/**
 * Nobody reads the socket of a waiting upgrade, and unread, an end is never seen. Looking whether there is
 * something to read shows it; what there is stays in the socket for the pod. Returns its release.
 */
function noticeLeaving(socket: Duplex, onLeave: () => void): () => void {
  const look = (): void => {
    if (socket.readableLength === 0) socket.read();
  };
  socket.on('readable', look);
  socket.once('end', onLeave);
  socket.once('close', onLeave);
  return () => {
    socket.removeListener('readable', look);
    socket.removeListener('end', onLeave);
  };
}

/** The pod answered like to any request: so do we, and close. */
function giveAnswer(socket: Duplex, answer: IncomingMessage): void {
  let head = `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n`;
  const { rawHeaders } = answer;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (!DROPPED.has(name.toLowerCase())) head += `${name}: ${rawHeaders[i + 1]}\r\n`;
  }
  // Node has taken a chunked body apart, so the end of the connection is the end of the body.
  socket.write(`${head}Connection: close\r\n\r\n`, 'latin1');
  pipeline(answer, socket, () => socket.destroy());
}

const DROPPED = new Set<string>([
  HEADER.load,
  HEADER.refused,
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
