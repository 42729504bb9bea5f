/**
 * One container of a pod over all its runs: pulled, created, started, probed, restarted with back-off, stopped.
 * The invariant: at most one run at a time, and once `stop` has resolved no process of it is left.
 */
import { randomBytes } from 'node:crypto';
import { describeError } from '../../common/errors.ts';
import { sleep } from '../../common/lifecycle.ts';
import { timestamp } from '../controllers/objects.ts';
import type { Deadline } from './deadline.ts';
import { ConfigError } from './env.ts';
import { runHandler, type HandlerContext } from './handlers.ts';
import { LogBuffer } from './logs.ts';
import type { Handler, PlannedContainer, Probe } from './pod-spec.ts';
import { runProber } from './prober.ts';
import { StartError, startProcess, type ContainerProcess, type Exit } from './process.ts';
import { RestartBackoff } from './restart-backoff.ts';
import type { ContainerRecord, ContainerState, Terminated } from './status.ts';
import type { PodRuntime } from './runtime.ts';

/** As the kubelet: whatever is left of the grace period, SIGKILL comes no sooner than this after SIGTERM. */
const MIN_GRACE_MS = 2_000;

export class Container {
  readonly log = new LogBuffer();
  readonly #plan: PlannedContainer;
  readonly #pod: PodRuntime;
  readonly #ending = new AbortController();
  readonly #backoff: RestartBackoff;
  readonly #startWaiters = new Set<() => void>();
  #state: ContainerState;
  #last: Terminated | undefined;
  #isReady = false;
  #isStarted = false;
  #starts = 0;
  #containerId: string | undefined;
  #process: ContainerProcess | undefined;
  #handlers: HandlerContext | undefined;
  #running: Promise<void> | undefined;

  constructor(plan: PlannedContainer, pod: PodRuntime, waiting: string) {
    this.#plan = plan;
    this.#pod = pod;
    this.#state = { waiting: { reason: waiting } };
    this.#backoff = new RestartBackoff(pod.backoffBaseMs);
  }

  get name(): string {
    return this.#plan.spec.name;
  }

  get kind() {
    return this.#plan.kind;
  }

  get record(): ContainerRecord {
    return {
      ...this.#plan,
      state: this.#state,
      lastState: this.#last,
      isReady: this.#isReady,
      isStarted: this.#isStarted,
      restartCount: Math.max(0, this.#starts - 1),
      containerId: this.#containerId,
    };
  }

  get exitCode(): number | undefined {
    return 'terminated' in this.#state ? this.#state.terminated.exitCode : undefined;
  }

  /** Runs it, again and again as the restart policy says; resolves when it will not run any more. */
  run(): Promise<void> {
    this.#running ??= this.#loop();
    return this.#running;
  }

  /** Resolves when a sidecar may be relied on: it runs and its startup probe, if any, has passed. */
  async started(): Promise<void> {
    if (this.#isStarted || this.#ending.signal.aborted) return;
    await new Promise<void>((resolve) => this.#startWaiters.add(resolve));
  }

  /** From now on nothing is started again; what runs may run on until `stop`. */
  noMoreRestarts(): void {
    this.#ending.abort();
    for (const resolve of this.#startWaiters) resolve();
  }

  /** preStop, then (when it is this container's turn) SIGTERM, then SIGKILL. */
  async stop(deadline: Deadline, turn: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.noMoreRestarts();
    const current = this.#process;
    if (current) {
      this.#pod.event('Normal', 'Killing', `Stopping container ${this.name}`, this.name);
      await this.#terminate(current, deadline, turn);
    }
    await this.#running;
  }

  /** SIGKILL from outside, as by the kernel: the restart policy decides what follows. */
  kill(): void {
    this.#process?.kill();
  }

  async #terminate(process: ContainerProcess, deadline: Deadline, turn: Promise<unknown>): Promise<void> {
    const preStop = this.#plan.spec.lifecycle?.preStop;
    if (preStop && deadline.leftMs > 0)
      await Promise.race([this.#runHook(preStop, 'PreStop', deadline.leftMs), process.exited]);
    await Promise.race([turn, deadline.passed, process.exited]);
    process.terminate();
    const enough = sleep(MIN_GRACE_MS);
    await Promise.race([process.exited, Promise.all([deadline.passed, enough])]);
    process.kill();
    await process.exited;
  }

  async #loop(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      if (!(await this.#prepare())) continue;
      const exit = await this.#runOnce();
      if (!this.#isRestarted(exit) || signal.aborted) break;
      await this.#backOff();
    }
  }

  #isRestarted({ code }: Exit): boolean {
    if (this.kind === 'sidecar') return true;
    if (this.#pod.restartPolicy === 'Never') return false;
    return code !== 0 || (this.kind === 'main' && this.#pod.restartPolicy === 'Always');
  }

  /** Image and configuration; false (after a wait) when it cannot be started now. */
  async #prepare(): Promise<boolean> {
    const { spec } = this.#plan;
    const pullError = this.#pod.pullError(spec);
    if (pullError !== undefined) {
      await this.#pullFailed(pullError);
      return false;
    }
    this.#backoff.pulled();
    try {
      this.#handlers = this.#pod.handlerContext(spec);
      return true;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#wait(error.code, error.message);
      this.#pod.event('Warning', 'Failed', `Error: ${error.message}`, this.name);
      await sleep(this.#pod.configRetryMs, this.#ending.signal);
      return false;
    }
  }

  async #pullFailed(why: string): Promise<void> {
    const { image } = this.#plan.spec;
    this.#pod.event('Normal', 'Pulling', `Pulling image "${image}"`, this.name);
    this.#pod.event('Warning', 'Failed', `Failed to pull image "${image}": ${why}`, this.name);
    this.#pod.event('Warning', 'Failed', 'Error: ErrImagePull', this.name);
    this.#wait('ErrImagePull', why);
    const delayMs = this.#backoff.pullFailed();
    // The error itself is shown for a moment, as between two syncs of a real kubelet.
    await sleep(Math.min(1_000, delayMs / 2), this.#ending.signal);
    if (this.#ending.signal.aborted) return;
    this.#pod.event('Normal', 'BackOff', `Back-off pulling image "${image}"`, this.name);
    this.#pod.event('Warning', 'Failed', 'Error: ImagePullBackOff', this.name);
    this.#wait('ImagePullBackOff', `Back-off pulling image "${image}": ErrImagePull: ${why}`);
    await sleep(delayMs, this.#ending.signal);
  }

  async #runOnce(): Promise<Exit> {
    const { spec } = this.#plan;
    const startedAt = timestamp(this.#pod.now());
    const containerId = `local://${randomBytes(32).toString('hex')}`;
    this.#containerId = containerId;
    this.#starts++;
    this.log.clear();
    this.#pod.event(
      'Normal',
      'Pulled',
      `Container image "${spec.image}" already present on machine`,
      this.name,
    );
    const run = new AbortController();
    let exit: Exit;
    let failure: { reason: string; message: string } | undefined;
    try {
      const process = await startProcess({
        ...this.#pod.command(spec, this.#handlers as HandlerContext),
        onLine: (line) => this.#line(line),
      });
      this.#process = process;
      this.#pod.event('Normal', 'Created', `Created container: ${spec.name}`, this.name);
      this.#pod.event('Normal', 'Started', `Started container ${spec.name}`, this.name);
      this.#enter({ running: { startedAt } });
      void this.#afterStart(process, run.signal);
      exit = await process.exited;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      failure = { reason: error.code, message: error.message };
      this.#pod.event('Warning', 'Failed', `Error: ${error.message}`, this.name);
      exit = { code: 128, signal: undefined };
    }
    run.abort();
    this.#process = undefined;
    this.#terminated(exit, { startedAt, containerId, ...failure });
    return exit;
  }

  #terminated(
    exit: Exit,
    more: { startedAt: string; containerID?: string; containerId: string; reason?: string },
  ): void {
    const { containerId, ...rest } = more;
    this.#isReady = this.kind === 'init' && exit.code === 0;
    this.#isStarted = false;
    this.#backoff.ended();
    this.#enter({
      terminated: {
        exitCode: exit.code,
        ...(exit.signal === undefined ? {} : { signal: exit.signal }),
        reason: exit.code === 0 ? 'Completed' : 'Error',
        ...rest,
        finishedAt: timestamp(this.#pod.now()),
        containerID: containerId,
      },
    });
  }

  #line(line: string): void {
    this.log.push(line);
    this.#pod.onLine(this.name, line);
  }

  async #afterStart(process: ContainerProcess, signal: AbortSignal): Promise<void> {
    const { postStart } = this.#plan.spec.lifecycle ?? {};
    if (postStart) {
      const why = await this.#runHook(postStart, 'PostStart', 60_000);
      if (why !== undefined) process.kill();
      if (signal.aborted) return;
    }
    this.#startProbes(signal);
  }

  #startProbes(signal: AbortSignal): void {
    const { startupProbe } = this.#plan.spec;
    const startedAt = performance.now();
    const open = () => {
      this.#setStarted();
      this.#probeForLife(startedAt, signal);
    };
    if (!startupProbe) return open();
    const done = new AbortController();
    const end = AbortSignal.any([signal, done.signal, this.#ending.signal]);
    this.#probe('Startup', startupProbe, { startedAt, signal: end }, (isSuccess, why) => {
      if (isSuccess) {
        done.abort();
        open();
      } else this.#restart('startup', startupProbe, why);
    });
  }

  #probeForLife(startedAt: number, signal: AbortSignal): void {
    const { readinessProbe, livenessProbe } = this.#plan.spec;
    if (!readinessProbe) void this.#setReady(true, signal);
    else
      this.#probe('Readiness', readinessProbe, { startedAt, signal }, (isSuccess) => {
        void this.#setReady(isSuccess, signal);
      });
    if (!livenessProbe) return;
    // A pod that is ending is probed for readiness only.
    const untilEnding = AbortSignal.any([signal, this.#ending.signal]);
    this.#probe('Liveness', livenessProbe, { startedAt, signal: untilEnding }, (isSuccess, why) => {
      if (!isSuccess) this.#restart('liveness', livenessProbe, why);
    });
  }

  #probe(
    type: string,
    probe: Probe,
    run: { startedAt: number; signal: AbortSignal },
    onVerdict: (isSuccess: boolean, why: string) => void,
  ): void {
    const context = this.#handlers as HandlerContext;
    void runProber({
      probe,
      ...run,
      attempt: (timeoutMs, signal) => runHandler(probe, context, timeoutMs, signal),
      onVerdict,
      onFailedAttempt: (why) =>
        this.#pod.event('Warning', 'Unhealthy', `${type} probe failed: ${why}`, this.name),
    });
  }

  #restart(type: string, probe: Probe, _why: string): void {
    const process = this.#process;
    if (!process || this.#ending.signal.aborted) return;
    const message = `Container ${this.name} failed ${type} probe, will be restarted`;
    this.#pod.event('Normal', 'Killing', message, this.name);
    const graceMs = (probe.terminationGracePeriodSeconds ?? this.#pod.graceSeconds) * 1000;
    const deadline = this.#pod.deadline(graceMs);
    void this.#terminate(process, deadline, Promise.resolve());
  }

  async #runHook(handler: Handler, name: string, timeoutMs: number): Promise<string | undefined> {
    const context = this.#handlers as HandlerContext;
    const why = await runHandler(handler, context, timeoutMs, new AbortController().signal);
    if (why !== undefined)
      this.#pod.event('Warning', `Failed${name}Hook`, `${name}Hook failed: ${why}`, this.name);
    return why;
  }

  async #backOff(): Promise<void> {
    const delayMs = this.#backoff.nextDelayMs();
    if (delayMs > 0) {
      const text = `back-off ${this.#backoff.text} restarting failed container=${this.name} pod=${this.#pod.title}`;
      this.#wait('CrashLoopBackOff', text);
      const event = `Back-off restarting failed container ${this.name} in pod ${this.#pod.title}`;
      this.#pod.event('Warning', 'BackOff', event, this.name);
      await sleep(delayMs, this.#ending.signal);
    }
  }

  #wait(reason: string, message: string): void {
    if (!this.#ending.signal.aborted) this.#enter({ waiting: { reason, message } });
  }

  #setStarted(): void {
    this.#isStarted = true;
    this.#pod.changed();
    for (const resolve of this.#startWaiters) resolve();
    this.#startWaiters.clear();
  }

  async #setReady(isReady: boolean, signal: AbortSignal): Promise<void> {
    if (isReady) await sleep(this.#pod.readinessDelayMs(), signal);
    if (signal.aborted || this.#isReady === isReady) return;
    this.#isReady = isReady;
    this.#pod.changed();
  }

  #enter(state: ContainerState): void {
    if ('terminated' in this.#state && !('terminated' in state)) this.#last = this.#state.terminated;
    this.#state = state;
    this.#pod.changed();
  }
}

/** For the log when something that cannot happen did. */
export function containerError(name: string, error: unknown): string {
  return `container ${name}: ${describeError(error)}`;
}
