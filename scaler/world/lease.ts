/**
 * Leader election on a `coordination.k8s.io/v1` Lease, after the algorithm of client-go. The replica that writes its
 * name with the resourceVersion that it read is the leader until it stops renewing. Two clocks are never compared: a
 * follower measures, by its own clock, how long the Lease has not changed.
 *
 * It gives up what client-go gives up: between a leader's last look at its clock and its next effect it can be
 * stopped for any time. Hence effects are fenced on their own (see `kube.ts`), and `isLeader` is asked again
 * before each.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';

export interface LeaseRecord {
  /** `<pod>@<ip>:<port>`; empty: released. */
  readonly holder: string;
  readonly durationSeconds: number;
  readonly transitions: number;
  readonly acquiredAt: Date;
  readonly renewedAt: Date;
  readonly resourceVersion: string;
}

/** `create` and `update` reject when somebody else was faster (409). */
export interface LeaseStore {
  read(): Promise<LeaseRecord | undefined>;
  create(record: LeaseRecord): Promise<LeaseRecord>;
  update(record: LeaseRecord): Promise<LeaseRecord>;
}

export interface ElectionOptions {
  readonly store: LeaseStore;
  readonly durationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface Election extends Running {
  /** Called when it begins or ends to lead. */
  onChange(listener: (isLeader: boolean) => void): void;
  /** Becomes a candidate, under that name. Nobody leads before. */
  start(identity: string): void;
  /** Ask before each effect: false as soon as the last renewal is older than the renew deadline. */
  isLeader(): boolean;
  /** Who holds the Lease, as last read; undefined when nobody does or it has expired. */
  holder(): string | undefined;
  /** Takes a Lease that has expired without waiting for the next look at it. */
  tryNow(): Promise<boolean>;
}

export function createElection(options: ElectionOptions): Election {
  const { durationMs, renewDeadlineMs, retryMs } = options;
  if (!(retryMs < renewDeadlineMs && renewDeadlineMs < durationMs))
    throw new RangeError(
      `election: need retry period < renew deadline < lease duration, got ${retryMs}, ${renewDeadlineMs}, ${durationMs} ms`,
    );
  return new LeaseElection(options);
}

class LeaseElection implements Election {
  readonly #options: ElectionOptions;
  readonly #listeners: ((isLeader: boolean) => void)[] = [];
  /** Empty: no candidate yet. */
  #identity = '';
  #observed: LeaseRecord | undefined;
  #observedAtMs = 0;
  #renewedAtMs = -Infinity;
  #wasLeader = false;
  #attempt: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  onChange(listener: (isLeader: boolean) => void): void {
    this.#listeners.push(listener);
  }

  start(identity: string): void {
    this.#identity = identity;
    void this.#round();
  }

  isLeader(): boolean {
    return !this.#isStopped && this.#holds();
  }

  holder(): string | undefined {
    return this.#observed?.holder && !this.#hasExpired() ? this.#observed.holder : undefined;
  }

  async tryNow(): Promise<boolean> {
    if (this.isLeader()) return true;
    if (this.#isStopped || this.#identity === '' || this.holder() !== undefined) return false;
    return this.#tryOnce();
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#expiry);
    await this.#attempt;
    const held = this.#holds() ? this.#observed : undefined;
    this.#tell();
    // Released, so that a follower need not wait for it to expire.
    if (held)
      await this.#options.store.update({ ...held, holder: '', renewedAt: new Date() }).catch(() => {});
  }

  async #round(): Promise<void> {
    await this.#tryOnce();
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#round(), this.#nextLookMs());
  }

  /** A follower looks again exactly when the Lease expires, not up to a retry period later. */
  #nextLookMs(): number {
    const { now, durationMs, retryMs } = this.#options;
    if (this.isLeader() || this.#observed === undefined) return retryMs;
    const untilExpiry = this.#observedAtMs + durationMs - now() + 1;
    return untilExpiry > 0 ? Math.min(retryMs, untilExpiry) : retryMs;
  }

  /** One attempt at a time: a second caller gets the outcome of the first. */
  #tryOnce(): Promise<boolean> {
    this.#attempt ??= this.#acquireOrRenew()
      .catch((error: unknown) => {
        if (!isConflict(error)) this.#options.log.warn({ error: describeError(error) }, 'lease not reached');
        return this.isLeader();
      })
      .finally(() => {
        this.#attempt = undefined;
        this.#tell();
      });
    return this.#attempt;
  }

  async #acquireOrRenew(): Promise<boolean> {
    const { store, now } = this.#options;
    const identity = this.#identity;
    const startedAtMs = now();
    const record = await store.read();
    if (record) this.#observe(record);
    if (record?.holder && record.holder !== identity && !this.#hasExpired()) {
      this.#renewedAtMs = -Infinity;
      return false;
    }
    const next = this.#claim(record);
    const written = record ? await store.update(next) : await store.create(next);
    // From before the request: others may have seen the renewal as early as that.
    this.#renewedAtMs = startedAtMs;
    this.#observe(written);
    return this.isLeader();
  }

  #holds(): boolean {
    const { now, renewDeadlineMs } = this.#options;
    return this.#renewedAtMs + renewDeadlineMs > now();
  }

  #claim(record: LeaseRecord | undefined): LeaseRecord {
    const { durationMs } = this.#options;
    const identity = this.#identity;
    const wallNow = new Date();
    const isMine = record?.holder === identity;
    return {
      holder: identity,
      // The API wants whole seconds, at least one.
      durationSeconds: Math.max(1, Math.ceil(durationMs / 1_000)),
      transitions: record ? record.transitions + (isMine ? 0 : 1) : 0,
      acquiredAt: isMine ? record.acquiredAt : wallNow,
      renewedAt: wallNow,
      resourceVersion: record?.resourceVersion ?? '',
    };
  }

  #observe(record: LeaseRecord): void {
    const isNew = record.resourceVersion !== this.#observed?.resourceVersion;
    this.#observed = record;
    if (isNew) this.#observedAtMs = this.#options.now();
  }

  /** By what its holder has promised, if that is longer: during a rollout two durations are in use. */
  #hasExpired(): boolean {
    const promisedMs = (this.#observed?.durationSeconds ?? 0) * 1_000;
    return this.#observedAtMs + Math.max(promisedMs, this.#options.durationMs) <= this.#options.now();
  }

  #tell(): void {
    const isLeader = this.isLeader();
    clearTimeout(this.#expiry);
    // A leader that cannot renew must notice by the clock, not by the next answer of a server that is away.
    if (isLeader) {
      const { now, renewDeadlineMs } = this.#options;
      this.#expiry = setTimeout(() => this.#tell(), this.#renewedAtMs + renewDeadlineMs - now() + 1);
    }
    if (isLeader === this.#wasLeader) return;
    this.#wasLeader = isLeader;
    for (const listener of this.#listeners) listener(isLeader);
  }
}

export function isConflict(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === 409;
}

/** `<pod>@<ip>:<port>` → `http://<ip>:<port>`, an IPv6 address in brackets. */
export function urlOf(holder: string | undefined): string | undefined {
  const address = /@([^@]*):(\d+)$/.exec(holder ?? '');
  if (!address) return undefined;
  const [, host = '', port] = address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
