/** Upgrades on `/function/{fn}/{path}`: from Node's `upgrade` event to an {@link UpgradeCall}. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { asReason, sendReasonOnSocket } from '../../common/runtime/reason-answer.ts';
import { serveHead, type RequestHead } from '../../common/relay/index.ts';
import { watchEarlyBytes, type EarlyBytes } from '../../common/tunnel/early-bytes.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';
import { letIn, whenLetIn } from '../callers/let-in.ts';
import { originOf } from '../edge/headers.ts';
import type { Ids } from '../edge/ids.ts';
import { toldTo, type PublishedRoutes } from '../edge/outside.ts';
import type { OpenUpgrades } from '../edge/open-upgrades.ts';
import { ProxyUpgrade, type UpgradeDeps } from './proxy-upgrade.ts';
import { heldBytes } from '../waiting/waiting-budget.ts';

export interface UpgradeRouteDeps extends UpgradeDeps {
  readonly lookup: FunctionLookup;
  readonly ids: Ids;
  readonly open: OpenUpgrades;
  readonly published: PublishedRoutes;
}

export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer) => void;

export function createUpgradeRoute(deps: UpgradeRouteDeps): UpgradeHandler {
  return (req, socket, head) => {
    const early = watchEarlyBytes(socket, head);
    try {
      begin(req, socket, early, deps);
    } catch (error) {
      refuse(socket, error);
    }
  };
}

function refuse(socket: Duplex, error: unknown): void {
  sendReasonOnSocket(socket, toldTo(socket, asReason(error)));
}

function begin(req: IncomingMessage, socket: Duplex, early: EarlyBytes, deps: UpgradeRouteDeps): void {
  const { method, path, headers } = serveHead(req);
  deps.published.check(req.socket, path, 'function');
  const target = deps.lookup.target(req, deps.lookup.hosted(req.headers.host, path), path);
  const origin = originOf(req.socket, target.prefix);
  const start = (kept: string[]): void => {
    if (early.left.aborted) return void socket.destroy();
    const head = { method, path: target.path, headers: kept };
    startUpgrade(deps.lookup.partFor(target.entry, kept), head, { req, socket, early, deps });
  };
  const forwarded = letIn(target.entry.gate, { headers, origin }, deps.ids);
  whenLetIn(forwarded, start, (error) => refuse(socket, error));
}

interface Upgrading {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  readonly early: EarlyBytes;
  readonly deps: UpgradeRouteDeps;
}

function startUpgrade(
  entry: FunctionEntry,
  head: RequestHead,
  { req, socket, early, deps }: Upgrading,
): void {
  const call = new ProxyUpgrade(
    entry,
    {
      head,
      protocol: req.headers.upgrade ?? '',
      socket,
      early,
      heldBytes: heldBytes(1024, undefined),
      fail: (error) => refuse(socket, error),
      onEnd: (end) => {
        release();
        // A client that left by closing its half still has ours open.
        if (end.kind === 'cancelled') socket.destroy();
      },
    },
    deps,
  );
  const release = deps.open.add(call);
  call.start();
}
