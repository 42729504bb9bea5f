/**
 * `/publish-event/{event}/{path}`: from Node's request to an event for everyone who subscribes to it, and its 204.
 *
 * Room `proxy/events`: Events: publish to all who subscribe.
 * Comes in: a request to /publish-event/.
 * Goes out: stored events for functions and pods.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ReasonError } from '../../common/runtime/errors.ts';
import { serveHead, withoutHeaders, type RequestHead } from '../../common/relay/index.ts';
import { NodeRequest } from '../edge/active-calls.ts';
import { answerFailure } from '../edge/answer-failure.ts';
import { publishEvent, type PublishTarget, type PublishOptions } from './publish.ts';
import {
  checkEventName,
  mayReach,
  resolveEvent,
  subscribes,
  wayTo,
  type EventName,
  type Hears,
} from './subscribers.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import { thoseThatRunJobs } from '../jobs/accepting/runs-jobs.ts';
import { parseFunctionTarget } from '../functions/function-path.ts';
import { CREDENTIAL_HEADERS } from '../callers/identify.ts';
import { forwardHeaders, originOf } from '../edge/headers.ts';
import { wakeIfAsleep, type AcceptRouteDeps } from '../jobs/accepting/accept-route.ts';

export interface EventRouteDeps extends Omit<AcceptRouteDeps, 'jobs'> {
  readonly publish: PublishOptions;
  readonly eventRefused: (reason: string) => void;
}

export const EVENT_PREFIX = '/publish-event/';

export function createEventRoute(deps: EventRouteDeps): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    publish(req, res, deps).catch((error: unknown) => {
      deps.eventRefused(error instanceof ReasonError ? error.code : 'error');
      answerFailure(res, error, deps.log);
    });
  };
}

async function publish(req: IncomingMessage, res: ServerResponse, deps: EventRouteDeps): Promise<void> {
  const { method, path, headers } = serveHead(req);
  const target = parseFunctionTarget(path, EVENT_PREFIX);
  const written = checkEventName(target?.name);
  const forwarded = target?.path ?? '/';
  const { name, entries } = subscribersOf(req, written, forwarded, deps);
  const origin = originOf(req.socket, '');
  // All that hear it get one and the same request, so its publisher must be let in by each of them.
  for (const { gate } of entries) await gate?.enter({ headers, address: origin.address });
  const isAsked = entries.some(({ gate }) => gate?.asksWho);
  const passed = isAsked ? withoutHeaders(headers, CREDENTIAL_HEADERS) : headers;
  const head = { method, path: forwarded, headers: forwardHeaders(passed, origin, deps.ids) };
  await send(name, head, { req, res, entries, deps });
  res.writeHead(204);
  res.end();
}

/** A private subscription is to a caller from outside as if it were none. */
function subscribersOf(
  req: IncomingMessage,
  written: string,
  path: string,
  { lookup, publish: { namespace: own } }: EventRouteDeps,
): { readonly name: EventName; readonly entries: readonly FunctionEntry[] } {
  const all = lookup.everything();
  const hears: Hears = (spec, event) =>
    subscribes(spec, event) && (mayReach(spec, event, path) || lookup.isInside(req));
  const name = resolveEvent(written, own, all, hears);
  const { namespace, event } = name;
  const entries = all.filter(({ id, view }) => id.namespace === namespace && hears(view.spec, event));
  if (entries.length > 0) return { name, entries: thoseThatRunJobs(entries) };
  const message = `no function subscribes to the event ${JSON.stringify(written)}; see SlimFaas/SubscribeEvents`;
  throw new ReasonError('unknown-event', message);
}

interface PublishContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly entries: readonly FunctionEntry[];
  readonly deps: EventRouteDeps;
}

/** Counted among the calls that the proxy finishes before it ends, and cut when its client is too slow. */
async function send(
  name: EventName,
  head: RequestHead,
  { req, res, entries, deps }: PublishContext,
): Promise<void> {
  const call = new NodeRequest(req, res);
  deps.active.add(call);
  const isExpecting = req.headers.expect?.toLowerCase() === '100-continue';
  const begin = (): void => {
    if (isExpecting) res.writeContinue();
  };
  const targets = (): PublishTarget[] =>
    entries.map((entry) => ({ id: entry.id, way: wayTo(entry, name.event) }));
  try {
    const sent = await publishEvent(name, head, { upload: { req, begin }, targets }, deps.publish);
    for (const [i, { way }] of sent.entries()) {
      const entry = entries[i] as FunctionEntry;
      entry.account.series.eventAccepted(way);
      wakeIfAsleep(entry, deps.wake);
    }
  } finally {
    deps.active.remove(call);
  }
}
