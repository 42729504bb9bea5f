/**
 * CORS of the routes that are no calls. Those that name a function have its policy, all others the proxy's own: the status
 * list and page, events, whose functions may be many, and what does not exist.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { serveHead } from '../../common/relay/index.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { isPreflight, type CorsPolicy } from '../callers/cors.ts';
import type { Gates } from '../callers/gate.ts';
import type { FunctionEntry } from './function-entry.ts';
import type { FunctionLookup } from './function-lookup.ts';
import { parseFunctionTarget } from './function-path.ts';

const BY_PATH = '/async-function/';
const BY_FUNCTION = [
  '/async-function-job/',
  '/async-function-callback/',
  '/wake-function/',
  '/status-function/',
];

interface CorsRoutesDeps {
  readonly lookup: Pick<FunctionLookup, 'forCall' | 'forFunction'>;
  readonly gates: Pick<Gates, 'cors'>;
}

/**
 * @returns what sets the headers of an answer, and says true once it has answered a preflight. It throws a ReasonError:
 * `forbidden` for a preflight of another site, `bad-request`
 */
export function createCorsRoutes(
  deps: CorsRoutesDeps,
): (req: IncomingMessage, res: ServerResponse) => boolean {
  return (req, res) => {
    // An answer that a cache may keep says that it depends on the origin, even to who names none.
    if (req.headers.origin === undefined && req.method !== 'GET') return false;
    const policy = policyOf(req, deps);
    if (policy === undefined) return false;
    if (isPreflight(req.method, req.headers)) serveHead(req);
    return policy.show(req, res);
  };
}

function policyOf(req: IncomingMessage, { lookup, gates }: CorsRoutesDeps): CorsPolicy | undefined {
  try {
    const entry = entryOf(req, lookup);
    return entry ? entry.cors : gates.cors;
  } catch (error) {
    if (error instanceof ReasonError) return gates.cors; // as what does not exist
    throw error;
  }
}

function entryOf(req: IncomingMessage, lookup: CorsRoutesDeps['lookup']): FunctionEntry | undefined {
  const { url = '/' } = req;
  const called = parseFunctionTarget(url, BY_PATH);
  if (called) return lookup.forCall(req, called.name, called.path);
  const prefix = BY_FUNCTION.find((each) => url.startsWith(each));
  const named = prefix === undefined ? undefined : parseFunctionTarget(url, prefix);
  return named && lookup.forFunction(req, named.name);
}
