/**
 * `/async-function/{fn}/{path}`: from Node's request to a job and its 201. Past Koa, as the calls are: a seventh of
 * what accepting a job costs.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ReasonError } from '../../../common/runtime/errors.ts';
import type { Log } from '../../../common/runtime/log.ts';
import { HEADER } from '../../../common/function/names.ts';
import { serveHead, type RequestHead } from '../../../common/relay/index.ts';
import { NodeRequest, type ActiveCalls } from '../../edge/active-calls.ts';
import { answerFailure } from '../../edge/answer-failure.ts';
import type { FunctionEntry } from '../../functions/function-entry.ts';
import type { FunctionLookup } from '../../functions/function-lookup.ts';
import { parseFunctionTarget, type FunctionTarget } from '../../functions/function-path.ts';
import { letIn } from '../../callers/let-in.ts';
import { originOf } from '../../edge/headers.ts';
import type { Ids } from '../../edge/ids.ts';
import { acceptJob } from './accept.ts';
import { checkRunsJobs } from './runs-jobs.ts';
import type { ProxyJobs } from '../proxy-jobs.ts';
import type { Wake } from '../../waiting/wake.ts';

export interface AcceptRouteDeps {
  readonly lookup: FunctionLookup;
  readonly ids: Ids;
  readonly wake: Wake;
  readonly active: ActiveCalls;
  readonly jobs: ProxyJobs;
  readonly log: Log;
}

type RawHandler = (req: IncomingMessage, res: ServerResponse) => void;

export const ACCEPT_PREFIX = '/async-function/';

export function createAcceptRoute(deps: AcceptRouteDeps): RawHandler {
  return (req, res) => {
    accept(req, res, deps).catch((error: unknown) => answerFailure(res, error, deps.log));
  };
}

async function accept(req: IncomingMessage, res: ServerResponse, deps: AcceptRouteDeps): Promise<void> {
  const { method, path, headers } = serveHead(req);
  const target = parseFunctionTarget(path, ACCEPT_PREFIX);
  if (!target)
    throw new ReasonError('unknown-function', 'no function named: use /async-function/{name}/{path}');
  const entry = deps.lookup.forCall(req, target.name, target.path);
  checkRunsJobs(entry);
  const head = {
    method,
    path: target.path,
    headers: await letIn(entry.gate, { headers, origin: originOf(req.socket, target.prefix) }, deps.ids),
  };
  const begun = performance.now();
  let id: string;
  try {
    id = await takeJob(entry, head, { req, res, deps });
  } catch (error) {
    entry.account.series.jobRefused(error instanceof ReasonError ? error.code : 'error');
    throw error;
  }
  entry.account.series.jobAccepted((performance.now() - begun) / 1000);
  wakeIfAsleep(entry, deps.wake);
  answer(res, deps.jobs.acceptStatus, target, id);
}

interface AcceptContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly deps: AcceptRouteDeps;
}

/** Counted among the calls that the proxy finishes before it ends, and cut when its client is too slow. */
async function takeJob(
  entry: FunctionEntry,
  head: RequestHead,
  { req, res, deps: { active, jobs } }: AcceptContext,
): Promise<string> {
  const call = new NodeRequest(req, res);
  active.add(call);
  const isExpecting = req.headers.expect?.toLowerCase() === '100-continue';
  const begin = (): void => {
    if (isExpecting) res.writeContinue();
  };
  try {
    return await acceptJob(entry.id, head, { req, begin }, jobs.accept);
  } finally {
    active.remove(call);
  }
}

/**
 * The scaler sees the queue within a tick; a function at zero should not wait for that. It counts the job itself
 * there, so the wake tells of callers alone.
 */
export function wakeIfAsleep(entry: FunctionEntry, wake: Wake): void {
  if (entry.pods.ready.length === 0) wake(entry.id, entry.waiting);
}

function answer(res: ServerResponse, status: number, { name }: FunctionTarget, id: string): void {
  const location = `/async-function-job/${encodeURIComponent(name)}/${id}`;
  res.writeHead(status, [HEADER.elementId, id, 'Location', location, 'Content-Length', '0']);
  res.end();
}
