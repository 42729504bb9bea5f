/** `/publish-event/{event}/{path}`: from Node's request to an event for everyone who subscribes to it, and its 204. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ReasonError } from '../../common/errors.ts';
import { serveHead, type RequestHead } from '../../common/relay/index.ts';
import { NodeCall } from '../active-calls.ts';
import { publishEvent, type EventTarget, type PublishOptions } from '../events/publish.ts';
import {
  checkEventName,
  mayReach,
  resolveEvent,
  subscribes,
  wayTo,
  type EventName,
} from '../events/subscribers.ts';
import type { FunctionEntry } from '../function-entry.ts';
import { parseFunctionTarget } from '../function-path.ts';
import { forwardHeaders, isEncrypted } from '../headers.ts';
import { plainAddress } from '../trust.ts';
import { refuse, wakeIfAsleep, type AcceptRouteDeps } from './accept-route.ts';

export interface EventRouteDeps extends Omit<AcceptRouteDeps, 'jobs'> {
  readonly publish: PublishOptions;
  readonly eventRefused: (reason: string) => void;
}

export const EVENT_PREFIX = '/publish-event/';

export function createEventRoute(deps: EventRouteDeps): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    publish(req, res, deps).catch((error: unknown) => {
      deps.eventRefused(error instanceof ReasonError ? error.code : 'error');
      refuse(res, error, deps.log);
    });
  };
}

async function publish(req: IncomingMessage, res: ServerResponse, deps: EventRouteDeps): Promise<void> {
  const { method, path, headers } = serveHead(req);
  const target = parseFunctionTarget(path, EVENT_PREFIX);
  const name = resolveEvent(checkEventName(target?.name), deps.publish.namespace, deps.lookup.everything());
  const forwarded = target?.path ?? '/';
  const entries = subscribersOf(req, name, forwarded, deps);
  const origin = { address: plainAddress(req.socket.remoteAddress ?? ''), isTls: isEncrypted(req.socket) };
  const head = { method, path: forwarded, headers: forwardHeaders(headers, origin, deps.ids) };
  await send(name.event, head, { req, res, entries, deps });
  res.writeHead(204);
  res.end();
}

/** A private subscription is to a caller from outside as if it were none. */
function subscribersOf(
  req: IncomingMessage,
  { namespace, event }: EventName,
  path: string,
  { lookup }: EventRouteDeps,
): readonly FunctionEntry[] {
  const all = lookup
    .everything()
    .filter(({ id, view }) => id.namespace === namespace && subscribes(view.spec, event));
  const reached = all.filter(({ view }) => mayReach(view.spec, event, path) || lookup.isInside(req));
  if (reached.length > 0) return reached;
  const message = `no function subscribes to the event ${JSON.stringify(event)}; see SlimFaas/SubscribeEvents`;
  throw new ReasonError('unknown-event', message);
}

interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly entries: readonly FunctionEntry[];
  readonly deps: EventRouteDeps;
}

/** Counted among the calls that the proxy finishes before it ends, and cut when its client is too slow. */
async function send(event: string, head: RequestHead, { req, res, entries, deps }: Exchange): Promise<void> {
  const call = new NodeCall(req, res);
  deps.active.add(call);
  const isExpecting = req.headers.expect?.toLowerCase() === '100-continue';
  const begin = (): void => {
    if (isExpecting) res.writeContinue();
  };
  const targets = (): EventTarget[] => entries.map((entry) => ({ id: entry.id, way: wayTo(entry, event) }));
  try {
    const sent = await publishEvent(event, head, { upload: { req, begin }, targets }, deps.publish);
    for (const [i, { way }] of sent.entries()) {
      const entry = entries[i] as FunctionEntry;
      entry.account.series.eventAccepted(way);
      wakeIfAsleep(entry, deps.wake);
    }
  } finally {
    deps.active.remove(call);
  }
}
