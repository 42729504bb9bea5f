/**
 * One container of a pod over all its runs: pulled, created, started, probed, restarted with back-off, stopped.
 * The invariant: at most one run at a time, and once `stop` has resolved no process of it is left.
 */
import { randomBytes } from 'node:crypto';
import { sleep } from '../../../../common/runtime/lifecycle.ts';
import { timeText } from '../../controllers/workloads/objects.ts';
import { startProbes } from './container-probes.ts';
import type { Deadline } from './deadline.ts';
import { ConfigError } from './env.ts';
import { runHandler, type HandlerContext } from './handlers.ts';
import { LogBuffer } from './logs.ts';
import type { Handler, PlannedContainer, Probe } from '../pods/pod-spec.ts';
import { launch } from './launch.ts';
import { StartError, type ContainerProcess, type Exit } from './process.ts';
import { isRestarted, RestartBackoff } from './restart-backoff.ts';
import { terminatedBy, type ContainerRecord, type ContainerState, type Terminated } from '../pods/status.ts';
import type { PodRuntime } from '../pods/runtime.ts';
import { terminate } from './termination.ts';

/** No hook is known to take longer; what really limits it is its signal. */
const HOOK_LIMIT_MS = 3_600_000;

export class Container {
  readonly #plan: PlannedContainer;
  readonly #pod: PodRuntime;
  readonly #ending = new AbortController();
  readonly #backoff: RestartBackoff;
  readonly #startWaiters = new Set<() => void>();
  readonly #tried = Promise.withResolvers<void>();
  #log: LogBuffer | undefined;
  #state: ContainerState;
  #last: Terminated | undefined;
  #isReady = false;
  #isStarted = false;
  #starts = 0;
  #containerId: string | undefined;
  #launching: Promise<ContainerProcess> | undefined;
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

  /** The log of its current run, or of its last; undefined before the first. */
  get log(): LogBuffer | undefined {
    return this.#log;
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

  /** Resolves when its first start has succeeded (postStart included) or failed: then the kubelet turns to the next one. */
  tried(): Promise<void> {
    return this.#tried.promise;
  }

  /** From now on nothing is started again; what runs may run on until `stop`. */
  noMoreRestarts(): void {
    this.#ending.abort();
    this.#tried.resolve();
    for (const resolve of this.#startWaiters) resolve();
  }

  /** preStop, then (when it is this container's turn) SIGTERM, then SIGKILL. */
  async stop(deadline: Deadline, turn: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.noMoreRestarts();
    await this.#launching?.catch(() => undefined); // a process that is being made has to be ended too
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

  #terminate(process: ContainerProcess, deadline: Deadline, turn: Promise<unknown>): Promise<void> {
    const handler = this.#plan.spec.lifecycle?.preStop;
    const preStop = handler && ((signal: AbortSignal) => this.#runHook(handler, 'PreStop', signal));
    return terminate(process, { deadline, turn, preStop });
  }

  async #loop(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      if (!(await this.#prepare()) || signal.aborted) continue;
      const exit = await this.#runOnce();
      if (!isRestarted(this.kind, this.#pod.restartPolicy, exit.code) || signal.aborted) break;
      await this.#backOff();
    }
  }

  /** Image and configuration; false (after a wait) when it cannot be started now. */
  async #prepare(): Promise<boolean> {
    const { spec } = this.#plan;
    const pullError = this.#pod.pullError(spec);
    if (pullError !== undefined) {
      this.#tried.resolve();
      await this.#pullFailed(pullError);
      return false;
    }
    this.#backoff.pulled();
    try {
      this.#handlers = this.#pod.handlerContext(spec);
      return true;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#tried.resolve();
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
    const startedAt = timeText(this.#pod.now());
    const containerID = `local://${randomBytes(32).toString('hex')}`;
    this.#containerId = containerID;
    this.#starts++;
    const run = new AbortController();
    let exit: Exit;
    let failure: { reason: string; message: string } | undefined;
    try {
      const log = (this.#log = new LogBuffer());
      this.#launching = launch(this.#plan.spec, this.#pod, this.#handlers as HandlerContext, log);
      const process = await this.#launching;
      this.#process = process;
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
    this.#tried.resolve();
    this.#launching = undefined;
    this.#process = undefined;
    this.#terminated(exit, { startedAt, containerID, ...failure });
    return exit;
  }

  #terminated(exit: Exit, more: Partial<Terminated> & { startedAt: string }): void {
    this.#isReady = this.kind === 'init' && exit.code === 0;
    this.#isStarted = false;
    this.#backoff.ended();
    this.#enter({ terminated: terminatedBy(exit, { ...more, finishedAt: timeText(this.#pod.now()) }) });
  }

  async #afterStart(process: ContainerProcess, signal: AbortSignal): Promise<void> {
    const { postStart } = this.#plan.spec.lifecycle ?? {};
    if (postStart) {
      const why = await this.#runHook(postStart, 'PostStart', signal);
      if (why !== undefined) process.kill();
      if (signal.aborted) return;
    }
    this.#tried.resolve();
    startProbes({
      context: this.#handlers as HandlerContext,
      ended: signal,
      ending: this.#ending.signal,
      readinessDelayMs: () => this.#pod.readinessDelayMs(),
      onStarted: () => this.#setStarted(),
      onReady: (isReady) => this.#setReady(isReady),
      onFatal: (type, probe) => void this.#endRun(process, type, probe),
      onFailedAttempt: (type, why) =>
        this.#pod.event('Warning', 'Unhealthy', `${type} probe failed: ${why}`, this.name),
    });
  }

  /** Over a failed probe; the restart policy decides what follows. */
  async #endRun(process: ContainerProcess, type: string, probe: Probe): Promise<void> {
    if (this.#ending.signal.aborted) return;
    const message = `Container ${this.name} failed ${type} probe, will be restarted`;
    this.#pod.event('Normal', 'Killing', message, this.name);
    const graceSeconds = probe.terminationGracePeriodSeconds ?? this.#pod.graceSeconds;
    const deadline = this.#pod.deadline(graceSeconds * 1000);
    await this.#terminate(process, deadline, Promise.resolve());
    deadline.cancel();
  }

  async #runHook(handler: Handler, name: string, signal: AbortSignal): Promise<string | undefined> {
    const why = await runHandler(handler, this.#handlers as HandlerContext, HOOK_LIMIT_MS, signal);
    if (why !== undefined)
      this.#pod.event('Warning', `Failed${name}Hook`, `${name}Hook failed: ${why}`, this.name);
    return why;
  }

  async #backOff(): Promise<void> {
    const delayMs = this.#backoff.nextDelayMs();
    if (delayMs === 0) return;
    const what = 'restarting failed container';
    const { name } = this;
    const { title } = this.#pod;
    this.#wait('CrashLoopBackOff', `back-off ${this.#backoff.text} ${what}=${name} pod=${title}`);
    this.#pod.event('Warning', 'BackOff', `Back-off ${what} ${name} in pod ${title}`, name);
    await sleep(delayMs, this.#ending.signal);
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

  #setReady(isReady: boolean): void {
    if (this.#isReady === isReady) return;
    this.#isReady = isReady;
    this.#pod.changed();
  }

  #enter(state: ContainerState): void {
    if ('terminated' in this.#state && !('terminated' in state)) this.#last = this.#state.terminated;
    this.#state = state;
    this.#pod.changed();
  }
}
