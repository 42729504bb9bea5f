/** Single calls beside probes, by the arrivals of hours on a clock that the test holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProbes } from '../../../sidecar/direct/probe-budget.ts';
import { ProbeLevel } from '../../../sidecar/direct/probe-level.ts';
import { seededRandom } from './seeded.ts';

const MINUTE = 60_000;

interface Traffic {
  readonly probes: readonly string[];
  readonly ms: number;
  readonly callEveryMs?: number;
  /** How many of the probes are left out. */
  readonly missed?: number;
  /** How many are late by up to most of a period. */
  readonly late?: number;
  /** Of the sampling clock: it goes so much slower than it should. */
  readonly drift?: number;
}

/** When connections come, in order. */
function arrivalsOf({ probes, ms, callEveryMs, missed = 0, late = 0 }: Traffic): number[] {
  const random = seededRandom(7);
  const arrivals: number[] = [];
  for (const { periodSeconds } of parseProbes(probes)) {
    const period = periodSeconds * 1_000;
    for (let at = random() * period; at < ms; at += period)
      if (random() >= missed)
        arrivals.push(at + random() * 5 + (random() < late ? random() * 0.9 * period : 0));
  }
  const every = callEveryMs ?? ms;
  for (let at = callEveryMs === undefined ? ms : 777; at < ms; at += every)
    arrivals.push(at + random() * 300);
  return arrivals.toSorted((a, b) => a - b);
}

/** When calls were found. */
function found(traffic: Traffic): number[] {
  const level = new ProbeLevel(parseProbes(traffic.probes), 2 * MINUTE, 0);
  const arrivals = arrivalsOf(traffic);
  const times: number[] = [];
  let next = 0;
  for (let now = 0; now < traffic.ms; now += level.sampleMs * (1 + (traffic.drift ?? 0))) {
    const before = next;
    while ((arrivals[next] ?? Infinity) <= now) next += 1;
    const calls = level.sample(next - before, now);
    for (let i = 0; i < calls; i++) times.push(now);
  }
  return times;
}

function longestGap(times: readonly number[], ms: number): number {
  return Math.max(...[0, ...times].map((time, i) => ([...times, ms][i] ?? ms) - time));
}

for (const probes of [
  ['1:1', '1:1'],
  ['1:1', '1:1', '1:1'],
  ['1:1'],
  ['10:1', '5:1'],
  ['1:1', '10:3'],
  ['2:1', '3:1'],
  [],
])
  test(`probes of ${probes.join(' ') || 'nobody'}: alone they are no call, for an hour and with clocks that drift`, () => {
    for (const drift of [0, 0.001, 0.01, -0.003])
      assert.deepEqual(found({ probes, ms: 60 * MINUTE, drift }), []);
  });

test('a call every 5 s beside two probes each second is found at once, and each of them', () => {
  const times = found({ probes: ['1:1', '1:1'], ms: 10 * MINUTE, callEveryMs: 5_000 });
  assert.ok((times[0] ?? Infinity) < 10_000, `first after ${times[0]} ms`);
  assert.ok(times.length >= 117, String(times.length));
});

test('also where the kubelet leaves out one probe in ten: these pay for some calls, not for all', () => {
  const ms = 30 * MINUTE;
  const times = found({ probes: ['1:1', '1:1'], ms, callEveryMs: 5_000, missed: 0.1 });
  assert.ok(longestGap(times, ms) < 2 * MINUTE, `${longestGap(times, ms)} ms without one`);
});

test('probes that are late by up to most of a second are seldom taken for calls', () => {
  const ms = 60 * MINUTE;
  const times = found({ probes: ['1:1', '1:1'], ms, late: 0.02 });
  assert.ok(times.length < 5, String(times.length));
  assert.ok(longestGap(times, ms) > 20 * MINUTE, `asleep after ${longestGap(times, ms)} ms`);
});

test('where nobody probes every connection is one', () => {
  assert.ok(found({ probes: [], ms: MINUTE, callEveryMs: 7_000 }).length >= 7);
});

test('probes that seldom come round together are left to the budget', () => {
  assert.deepEqual(found({ probes: ['59:1', '61:1'], ms: 10 * MINUTE, callEveryMs: 1_000 }), []);
});
