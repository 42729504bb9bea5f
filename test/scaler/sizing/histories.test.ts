/**
 * Random histories: calls, silence, humans, outages, broken pods, lost leadership, in any order, against the rules,
 * windows and triggers together. What must hold for each patch is written down in {@link check}.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { settle, Sim } from '../support/sim.ts';

type Step =
  | { readonly do: 'run' | 'queue'; readonly count: number; readonly seconds: number }
  | { readonly do: 'rest' | 'silence' | 'nats-away' | 'follow' | 'unready'; readonly seconds: number }
  | { readonly do: 'wake' }
  | { readonly do: 'by-hand'; readonly count: number };

interface Given {
  readonly min: number;
  readonly atStart: number;
  readonly timeout: number;
  readonly max: number;
  readonly rule: 'none' | 'parallel' | 'scale';
}

const given = fc.record<Given>({
  min: fc.integer({ min: 0, max: 2 }),
  atStart: fc.integer({ min: 1, max: 6 }),
  timeout: fc.integer({ min: 0, max: 90 }),
  max: fc.integer({ min: 2, max: 9 }),
  rule: fc.constantFrom('none', 'parallel', 'scale'),
});

const seconds = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 120 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('run', 'queue'), count: fc.integer({ min: 1, max: 40 }), seconds }),
  fc.record({ do: fc.constantFrom('rest', 'silence', 'nats-away', 'follow', 'unready'), seconds }),
  fc.record({ do: fc.constant('wake') }),
  fc.record({ do: fc.constant('by-hand'), count: fc.integer({ min: 0, max: 6 }) }),
) as fc.Arbitrary<Step>;

function annotationsOf({ min, atStart, timeout, max, rule }: Given): Record<string, string> {
  const scale = { ReplicaMax: max, Triggers: [{ MetricName: 'concurrency', Threshold: 5 }] };
  return {
    'SlimFaas/ReplicasMin': String(min),
    'SlimFaas/ReplicasAtStart': String(atStart),
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': String(timeout),
    ...(rule === 'parallel'
      ? { 'SlimFaas/NumberParallelRequest': String(max), 'SlimFaas/NumberParallelRequestPerPod': '1' }
      : {}),
    ...(rule === 'scale' ? { 'SlimFaas/Scale': JSON.stringify(scale) } : {}),
  };
}

/** The cluster around the rules: pods follow the count, report once a second, and use is written down. */
class History {
  readonly sim = new Sim();
  readonly #given: Given;
  #pods = 0;
  #seen = 0;
  /** When it was last used, as anybody could have known. */
  #usedMs: number;
  /** Since when a ready pod has been silent or NATS away; undefined: all is known. */
  #blindSinceMs: number | undefined;
  #ourIncreaseMs = -Infinity;

  constructor(given: Given) {
    this.#given = given;
    this.sim.fn('fn', given.min, annotationsOf(given));
    this.#usedMs = this.sim.nowMs;
    this.#follow(true);
  }

  async take(taken: Step): Promise<void> {
    const { sim } = this;
    if (taken.do === 'wake') {
      this.#usedMs = sim.nowMs;
      await sim.wake('fn');
      return this.#settle();
    }
    if (taken.do === 'by-hand') {
      if (sim.replicas('fn') !== taken.count) this.#usedMs = sim.nowMs;
      // No recommendation of ours: nothing in the windows protects it once it no longer stands.
      this.#ourIncreaseMs = -Infinity;
      sim.scaleByHand('fn', taken.count);
      return this.#settle();
    }
    sim.isLeader = taken.do !== 'follow';
    if (taken.do === 'nats-away') sim.reconciler.onNats(false);
    for (let i = 0; i < taken.seconds; i++) {
      await sim.pass(1, () => this.#second(taken));
      await this.#settle();
    }
    if (taken.do === 'nats-away') {
      sim.reconciler.onNats(true);
      this.#usedMs = sim.nowMs; // what was called meanwhile nobody knows
      this.#blindSinceMs = undefined; // and silence begins again
    }
    sim.isLeader = true;
  }

  async #second(taken: Exclude<Step, { do: 'wake' | 'by-hand' }>): Promise<void> {
    const { sim } = this;
    const isQuiet = taken.do === 'silence' || taken.do === 'nats-away';
    if (taken.do === 'unready') this.#blindSinceMs = undefined; // a pod that is not ready runs nothing
    this.#follow(taken.do !== 'unready');
    await this.#settle(); // what a change of pods brings about knows nothing of what is reported next
    const pods = sim.podsOf('fn');
    this.#blindSinceMs = isQuiet && pods.length > 0 ? (this.#blindSinceMs ?? sim.nowMs) : undefined;
    if (isQuiet) return;
    const isUsed = taken.do === 'run' || taken.do === 'queue';
    if (isUsed) this.#usedMs = sim.nowMs;
    const running = taken.do === 'run' ? taken.count / Math.max(1, pods.length) : 0;
    for (const pod of pods)
      sim.report('fn', pod, { running, runningNow: Math.ceil(running), started: Math.ceil(running) });
    if (taken.do === 'queue' || (isUsed && pods.length === 0)) void sim.wake('fn', taken.count);
    else sim.proxyIsIdle('fn');
  }

  #follow(isReady: boolean): void {
    const { sim } = this;
    const wanted = sim.replicas('fn');
    const pods = sim.podsOf('fn');
    for (const pod of pods.slice(wanted)) sim.podGone(pod);
    for (const pod of pods.slice(0, wanted)) sim.pod('fn', pod, { isReady });
    for (let i = pods.length; i < wanted; i++) sim.pod('fn', `p${this.#pods++}`, { isReady });
  }

  /** After everything that this moment brings about, which must come to an end. */
  async #settle(): Promise<void> {
    const before = this.sim.patches.length;
    for (let i = 0; i < 8; i++) await settle();
    const made = this.sim.patches.slice(before);
    assert.ok(made.length <= 4, `patches without end: ${made.join(', ')}`);
    this.#check();
  }

  #check(): void {
    const { sim } = this;
    for (; this.#seen < sim.patches.length; this.#seen++) {
      const patch = sim.patches[this.#seen] ?? '';
      const [, from, to, kind] = /^fn (\d+)→(\d+) (.*)$/.exec(patch) ?? [];
      check(
        { from: Number(from), to: Number(to), kind: kind ?? '' },
        {
          given: this.#given,
          isLeader: sim.isLeader,
          sinceUseMs: sim.nowMs - this.#usedMs,
          sinceIncreaseMs: sim.nowMs - this.#ourIncreaseMs,
          blindForMs: this.#blindSinceMs === undefined ? 0 : sim.nowMs - this.#blindSinceMs,
        },
        patch,
      );
      if (Number(to) > Number(from)) this.#ourIncreaseMs = sim.nowMs;
    }
  }
}

interface Patch {
  readonly from: number;
  readonly to: number;
  readonly kind: string;
}

interface Moment {
  readonly given: Given;
  readonly isLeader: boolean;
  readonly sinceUseMs: number;
  readonly sinceIncreaseMs: number;
  readonly blindForMs: number;
}

/** What holds for every patch, whatever came before. */
function check({ from, to, kind }: Patch, moment: Moment, patch: string): void {
  const { given, isLeader, sinceUseMs, sinceIncreaseMs, blindForMs } = moment;
  const most = Math.max(given.rule === 'none' ? given.atStart : given.max, given.min);
  const atMost = given.rule === 'scale' ? Math.min(most, given.max) : most;
  assert.ok(to <= atMost, `${patch}: above ${atMost}`);
  assert.ok(to >= Math.min(given.min, atMost), `${patch}: below ReplicasMin`);
  if (!isLeader) assert.equal(kind, 'wake', `${patch}: by a follower`);
  if (to > from || kind === 'cap') return; // ReplicaMax holds whatever is known
  assert.ok(blindForMs <= 31_000, `${patch}: while a pod has been silent for ${blindForMs} ms`);
  if (to === 0 || kind === 'sleep') {
    const quietMs = Math.max(2_000, given.timeout * 1_000);
    assert.ok(sinceUseMs >= quietMs, `${patch}: ${sinceUseMs} ms after its last use, timeout ${quietMs}`);
  } else if (kind === 'scale-down') {
    assert.ok(sinceIncreaseMs >= 299_000, `${patch}: ${sinceIncreaseMs} ms after an increase of ours`);
  }
}

test('no history makes a patch that breaks a promise', async () => {
  await fc.assert(
    fc.asyncProperty(given, fc.array(step, { minLength: 3, maxLength: 14 }), async (rules, steps) => {
      const history = new History(rules);
      for (const taken of steps) await history.take(taken);
    }),
    { numRuns: 120 },
  );
});
