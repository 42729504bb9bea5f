/**
 * From a caller and a name to a function, for every kind of route alike: what a caller may not see answers
 * exactly as what does not exist.
 */
import type { RawHeaders } from '../../common/relay/types.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { FunctionEntry } from './function-entry.ts';
import type { FunctionTable } from './function-table.ts';
import { parseFunctionTarget } from './function-path.ts';
import { FUNCTION_PREFIX } from './routes.ts';
import type { CallerFacts, IsInside } from '../edge/trust.ts';
import { visibilityOf } from './visibility.ts';

/** What a call goes to. */
export interface CallTarget {
  readonly entry: FunctionEntry;
  /** What the function gets. */
  readonly path: string;
  /** What was before it, `/function/fib`; empty where the function has the whole host. */
  readonly prefix: string;
}

export class FunctionLookup {
  readonly #table: FunctionTable<FunctionEntry>;
  readonly #isInside: IsInside;

  constructor(table: FunctionTable<FunctionEntry>, isInside: IsInside) {
    this.#table = table;
    this.#isInside = isInside;
  }

  /**
   * By the function that claims the Host, else by `/function/{name}/{path}`.
   * @param hosted what {@link hosted} said of this request
   * @param path as the caller wrote it
   * @throws ReasonError `unknown-function`
   */
  target(req: CallerFacts, hosted: FunctionEntry | undefined, path: string): CallTarget {
    if (hosted) {
      if (!this.#mayCall(req, hosted, path)) throw new ReasonError('unknown-function', UNKNOWN_PATH);
      return { entry: hosted, path, prefix: '' };
    }
    const target = parseFunctionTarget(path, FUNCTION_PREFIX);
    if (!target) throw new ReasonError('unknown-function', `no function named: use ${CALL_ROUTE}`);
    const entry = this.forCall(req, target.name, target.path);
    return { entry, path: target.path, prefix: target.prefix };
  }

  /** The function that claims the Host: every path of it, below the claimed prefix, is the function's. */
  hosted(host: string | undefined, path: string): FunctionEntry | undefined {
    return this.#table.findByHost(host, path);
  }

  /** Who runs a call: the function that was named, or one of its canaries. @param headers as the function gets them */
  partFor(entry: FunctionEntry, headers: RawHeaders): FunctionEntry {
    return this.#table.partFor(entry, headers);
  }

  /** A function of the same namespace. */
  neighbour({ id: { namespace } }: FunctionEntry, name: string): FunctionEntry | undefined {
    return this.#table.get({ namespace, name });
  }

  /** @throws ReasonError `unknown-function` */
  forCall(req: CallerFacts, name: string, path: string): FunctionEntry {
    const entry = this.#table.find(name);
    if (!entry || !this.#mayCall(req, entry, path)) throw this.#unknown(req, name);
    return entry;
  }

  /** Trust is looked at last: nearly every call is for a public path. */
  #mayCall(req: CallerFacts, entry: FunctionEntry, path: string): boolean {
    return visibilityOf(entry.view.spec, path) === 'Public' || this.#isInside(req);
  }

  /**
   * For routes that concern the function and none of its paths: its default visibility counts.
   * @throws ReasonError `unknown-function`
   */
  forFunction(req: CallerFacts, name: string): FunctionEntry {
    const entry = this.#table.find(name);
    if (!entry || !this.maySee(req, entry)) throw this.#unknown(req, name);
    return entry;
  }

  maySee(req: CallerFacts, entry: FunctionEntry): boolean {
    return entry.view.spec.defaultVisibility === 'Public' || this.#isInside(req);
  }

  isInside(req: CallerFacts): boolean {
    return this.#isInside(req);
  }

  everything(): FunctionEntry[] {
    return [...this.#table.all];
  }

  /** What callers from outside may see. */
  public(): FunctionEntry[] {
    return this.everything().filter((e) => e.view.spec.defaultVisibility === 'Public');
  }

  visibleTo(req: CallerFacts): FunctionEntry[] {
    return this.#isInside(req) ? this.everything() : this.public();
  }

  /** A bare name that is one of another namespace is the usual slip; only what the caller may see is named. */
  #unknown(req: CallerFacts, name: string): ReasonError {
    const elsewhere: string[] = [];
    for (const entry of this.#table.all) {
      if (elsewhere.length === MAX_HINTS) break;
      if (entry.id.name === name && !this.#table.isOwn(entry.id) && this.maySee(req, entry))
        elsewhere.push(`${entry.id.name}.${entry.id.namespace}`);
    }
    const hint =
      elsewhere.length > 0
        ? `another namespace has one; call it as ${elsewhere.join(' or ')}`
        : 'GET /status-functions lists those there are';
    return new ReasonError('unknown-function', `no function ${JSON.stringify(name)}; ${hint}`);
  }
}

const MAX_HINTS = 3;
const CALL_ROUTE = `${FUNCTION_PREFIX}{name}/{path}`;
const UNKNOWN_PATH = 'no function answers this path of the host';
