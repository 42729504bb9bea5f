/** One function while the proxy runs: what it is, its pods, those who wait for it, and its numbers. */
import { ReasonError } from '../../common/runtime/errors.ts';
import type { ReadyMessage } from '../../common/bus/messages.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { Account } from '../metrics/account.ts';
import { Activator } from '../waiting/activator.ts';
import type { CorsPolicy } from '../callers/cors.ts';
import type { CallerGate, FunctionGates, Gates } from '../callers/gate.ts';
import type { Clock } from '../clock.ts';
import type { Endpoint } from '../pods/endpoint.ts';
import { explainNoPod } from './explain.ts';
import type { FunctionView } from './function-view.ts';
import { OtherProxies } from '../status/other-proxies.ts';
import { PlaceLines, type LineBudget } from '../pods/place-lines.ts';
import type { PodGroup } from '../pods/pod-group.ts';
import type { ProxyMetrics } from '../metrics/proxy-metrics.ts';
import type { Report } from '../metrics/report.ts';
import { FirstPod } from '../waiting/first-pod.ts';
import { Throttler, type ThrottlerLimits } from '../waiting/throttler.ts';
import type { WaitingBudget } from '../waiting/waiting-budget.ts';
import type { Wake } from '../waiting/wake.ts';

export interface EntryDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly budget: WaitingBudget;
  readonly metrics: ProxyMetrics;
  readonly wake: Wake;
  readonly report: Report;
  readonly lines: LineBudget;
  readonly gates: Gates;
  /** A pod said its state over its place line. */
  readonly onState: (id: FunctionId, endpoint: Endpoint, message: ReadyMessage, data: Uint8Array) => void;
  readonly defaults: { readonly queueLimit: number; readonly coldStartSeconds: number };
}

export class FunctionEntry {
  readonly id: FunctionId;
  readonly pods: PodGroup;
  readonly throttler: Throttler;
  /** Connections that came by a Service of the function. */
  readonly firstPod: FirstPod;
  readonly account: Account;
  readonly otherProxies = new OtherProxies();
  readonly #deps: EntryDeps;
  readonly #activator: Activator;
  readonly #lines: PlaceLines;
  readonly #stopListening: () => void;
  readonly #gates: FunctionGates;
  /** What it asks of callers; undefined: nothing. */
  gate: CallerGate | undefined;
  /** What browsers are told; undefined: what its app says. */
  cors: CorsPolicy | undefined;
  /** It has canaries. */
  isSplit = false;
  #view: FunctionView;

  constructor(view: FunctionView, pods: PodGroup, deps: EntryDeps) {
    this.id = view.id;
    this.pods = pods;
    this.#view = view;
    this.#deps = deps;
    this.account = new Account(view.id, deps.metrics, deps.clock);
    this.#gates = deps.gates.ofFunction((reason) => this.account.series.failed(reason));
    this.gate = this.#gates.gateOf(view.spec);
    this.cors = deps.gates.corsOf(view.spec);
    this.#activator = new Activator(
      deps.clock,
      (waiting) => deps.wake(view.id, waiting),
      () => deps.report(this),
    );
    this.#lines = new PlaceLines({
      pods,
      clock: deps.clock,
      budget: deps.lines,
      onState: (endpoint, message, data) => deps.onState(view.id, endpoint, message, data),
    });
    let coldCalls = 0;
    const budget = deps.budget.share();
    const common = {
      budget,
      clock: deps.clock,
      random: deps.random,
      limits: () => this.#limits(),
      explainCold: () => explainNoPod(this.#view, pods.all),
      hopeless: () => this.#hopeless(),
    };
    const wakeFor = () => this.#activator.update(coldCalls + this.firstPod.waiting);
    this.firstPod = new FirstPod({ ...common, pods, onWaiting: wakeFor });
    this.throttler = new Throttler({
      ...common,
      pods,
      onWaiting: (waiting) => this.#lines.update(waiting),
      onCold: (waiting) => {
        coldCalls = waiting;
        wakeFor();
      },
    });
    this.#stopListening = pods.listen(() => {
      this.throttler.changed();
      this.firstPod.changed();
    });
  }

  get view(): FunctionView {
    return this.#view;
  }

  /** It is a canary, or has one. */
  get isPart(): boolean {
    return this.isSplit || this.#view.spec.canary !== undefined;
  }

  /** Calls and connections in this proxy. */
  get waiting(): number {
    return this.throttler.waiting + this.firstPod.waiting;
  }

  /** Calls in all proxies, as far as the others have said. */
  get everywhere(): { readonly waiting: number; readonly running: number } {
    const others = this.otherProxies.sum(this.#deps.clock.now());
    return {
      waiting: others.waiting + this.waiting,
      running: others.running + this.account.inFlight,
    };
  }

  /** Calls are here, or what we believe of its pods needs correcting before the next one comes. */
  get wantsActivity(): boolean {
    if (this.waiting > 0 || this.account.inFlight > 0) return true;
    return this.pods.ready.some((endpoint) => endpoint.isBelievedBusy);
  }

  update(view: FunctionView): void {
    if (view.spec !== this.#view.spec) {
      this.gate = this.#gates.gateOf(view.spec);
      this.cors = this.#deps.gates.corsOf(view.spec);
    }
    this.#view = view;
  }

  /** The function is no more. Running calls end by themselves. */
  close(): void {
    this.#stopListening();
    const message = `${functionKey(this.id)} was deleted while the call waited`;
    const error = new ReasonError('unknown-function', message);
    this.throttler.refuseAll(error);
    this.firstPod.refuseAll(error);
    this.#activator.stop();
    this.#lines.stop();
    this.#gates.close();
    this.account.close();
  }

  #hopeless(): string | undefined {
    const { spec, replicas } = this.#view;
    if (!spec.paused || replicas > 0 || this.pods.size > 0) return undefined;
    return 'it is scaled to zero and slimfaas.dev/paused keeps it there: nothing wakes it';
  }

  #limits(): ThrottlerLimits {
    const { spec } = this.#view;
    const { queueLimit, coldStartSeconds } = this.#deps.defaults;
    return {
      maxWaiting: spec.queueLimit ?? queueLimit,
      coldStartMs: (spec.coldStartTimeoutSeconds ?? coldStartSeconds) * 1000,
      // Whoever would give a call that long to run gives it as long to begin (two clocks, one setting).
      placeMs: spec.sync.httpTimeoutSeconds * 1000,
    };
  }
}
