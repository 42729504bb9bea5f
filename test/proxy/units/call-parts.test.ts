import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import type { Outcome } from '../../../common/relay/index.ts';
import { Account } from '../../../proxy/metrics/account.ts';
import { ActiveCalls, NodeRequest, watchSlowClients } from '../../../proxy/edge/active-calls.ts';
import { forwardHeaders, parseLoad } from '../../../proxy/edge/headers.ts';
import { createIds } from '../../../proxy/edge/ids.ts';
import { createProxyMetrics } from '../../../proxy/metrics/proxy-metrics.ts';
import { keepForReplay } from '../../../proxy/call/function-route.ts';
import { HandBody } from '../../common/relay/exchange/hand-body.ts';
import { ReplayBudget } from '../../../proxy/call/replay-budget.ts';
import { outcomeAction } from '../../../proxy/call/retry.ts';
import { callTimeouts } from '../../../proxy/call/timeouts.ts';
import { createTrust, plainAddress } from '../../../proxy/edge/trust.ts';
import { heldBytes, WaitingBudget } from '../../../proxy/waiting/waiting-budget.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { specOf } from '../support/pods.ts';

const FACTS = { refusal: undefined, canResend: true, mayRepeat: false };
const failed = (changes: Partial<Outcome & { kind: 'failed' }> = {}): Outcome => ({
  kind: 'failed',
  phase: 'head',
  error: new Error('reset'),
  sentBytes: 10,
  headForwarded: false,
  ...changes,
});
const timedOut = (changes: Partial<Outcome & { kind: 'timeout' }> = {}): Outcome => ({
  kind: 'timeout',
  phase: 'head',
  sentBytes: 10,
  headForwarded: false,
  ...changes,
});

test('what becomes of a call: a table of outcomes', () => {
  const refusal = { ...FACTS, refusal: 'full' };
  const discarded: Outcome = { kind: 'discarded', head: { status: 503, statusText: '', headers: [] } };
  const table: [string, Outcome, typeof FACTS | typeof refusal, string][] = [
    ['answered', { kind: 'answered', status: 200 }, FACTS, 'end'],
    ['the caller left', { kind: 'cancelled', headForwarded: true }, FACTS, 'end'],
    ['refused', discarded, refusal, 'again'],
    ['refused, body gone', discarded, { ...refusal, canResend: false }, 'fail queue-full'],
    ['no connection', failed({ phase: 'connect', sentBytes: 0 }), FACTS, 'again'],
    ['no connection in time', timedOut({ phase: 'connect', sentBytes: 0 }), FACTS, 'again'],
    ['nothing was sent', failed({ phase: 'send', sentBytes: 0 }), FACTS, 'again'],
    [
      'nothing was sent, body gone',
      failed({ sentBytes: 0 }),
      { ...FACTS, canResend: false },
      'fail upstream-failed',
    ],
    ['sent, may not repeat', failed(), FACTS, 'fail upstream-failed'],
    ['sent, may repeat', failed(), { ...FACTS, mayRepeat: true }, 'again'],
    [
      'sent, may repeat, body gone',
      failed(),
      { ...FACTS, mayRepeat: true, canResend: false },
      'fail upstream-failed',
    ],
    ['answer begun', failed({ phase: 'body', headForwarded: true }), { ...FACTS, mayRepeat: true }, 'end'],
    ['the body broke off', failed({ callerFailed: true, sentBytes: 0 }), FACTS, 'end'],
    ['HttpTimeout', timedOut(), { ...FACTS, mayRepeat: true }, 'fail function-timeout'],
    ['answer begun, then silence', timedOut({ phase: 'body', headForwarded: true }), FACTS, 'end'],
  ];
  for (const [name, outcome, facts, expected] of table) {
    const action = outcomeAction(outcome, facts);
    assert.equal(action.kind === 'fail' ? `fail ${action.error.code}` : action.kind, expected, name);
  }
});

test('only a pod that may be broken becomes suspect, and only a try that may have run is counted as one', () => {
  const again = outcomeAction(failed(), { ...FACTS, mayRepeat: true });
  assert.deepEqual([again.suspect, again.kind === 'again' && again.mayHaveRun], ['reset', true]);
  const unreached = outcomeAction(failed({ phase: 'connect', sentBytes: 0 }), FACTS);
  assert.deepEqual([unreached.suspect, unreached.kind === 'again' && unreached.mayHaveRun], ['reset', false]);
  assert.equal(outcomeAction({ kind: 'answered', status: 500 }, FACTS).suspect, undefined);
  assert.equal(outcomeAction(timedOut(), FACTS).suspect, undefined);
});

test('the proxy’s clock outlasts all tries of the sidecar; without a sidecar HttpTimeout is the proxy’s', () => {
  const { sync } = specOf();
  assert.equal(callTimeouts(sync, true).headMs, 504_000); // 4 × 120 + 2 + 4 + 8, and 10 of margin
  assert.equal(callTimeouts(sync, false).headMs, 120_000);
});

test('load headers are read strictly', () => {
  assert.deepEqual(parseLoad('3/10'), { running: 3, limit: 10 });
  for (const text of [undefined, '', '3', '-1/2', '1/2/3', ' 1/2', '1e3/2', '9999999999/1'])
    assert.equal(parseLoad(text), undefined);
});

test('X-Forwarded-For is appended to the last of several; internal headers go in any spelling', () => {
  const ids = createIds(() => Buffer.alloc(4_096, 0xab));
  const raw = ['X-Forwarded-For', 'a', 'x-forwarded-for', 'b', 'SLIMFAAS-Load', '1/1', 'Slimfaas-X', 'y'];
  const out = forwardHeaders(raw, { address: 'c', isTls: true, prefix: '' }, ids);
  assert.deepEqual(out.slice(0, 4), ['X-Forwarded-For', 'a', 'x-forwarded-for', 'b, c']);
  assert.equal(out[out.indexOf('X-Forwarded-Proto') + 1], 'https');
  assert.ok(!out.some((text) => /^slimfaas/i.test(text)));
});

test('ids are as many as asked for, each its own', () => {
  const ids = createIds();
  const many = new Set(Array.from({ length: 2_000 }, () => ids.requestId()));
  assert.equal(many.size, 2_000);
  for (const id of many) assert.match(id, /^[0-9a-f]{32}$/);
});

test('bodies kept for replay are bounded together, and given back once', () => {
  const budget = new ReplayBudget(3_000_000);
  const first = budget.reserve(undefined);
  assert.equal(first?.bytes, 1_048_576);
  assert.equal(budget.reserve(10)?.bytes, 10);
  assert.ok(budget.reserve(5_000_000));
  assert.equal(budget.reserve(undefined), undefined, 'spent');
  first.release();
  first.release();
  assert.equal(budget.reserved, 1_048_576 + 10);
});

test('what a body of unknown length turns out not to need is given back at once', () => {
  const budget = new ReplayBudget(3_000_000);
  const kept = budget.reserve(undefined);
  assert.ok(kept);
  kept.shrinkTo(100);
  assert.equal(budget.reserved, 100);
  kept.shrinkTo(200);
  assert.equal(budget.reserved, 100, 'never grows');
  kept.release();
  kept.release();
  assert.equal(budget.reserved, 0);
});

test('a body that grows too large to keep holds nothing of the budget while it is sent', () => {
  const budget = new ReplayBudget(3_000_000);
  const source = new HandBody();
  const { body, release } = keepForReplay(source, budget);
  body.start({ data: () => true, end: () => undefined, fail: () => undefined });
  assert.equal(budget.reserved, 1_048_576);
  source.consumer?.data(Buffer.alloc(1_048_577));
  assert.equal(budget.reserved, 0);
  release();
  assert.equal(budget.reserved, 0);
});

test('a waiting call counts its head and what Node reads ahead, at most', () => {
  assert.deepEqual(
    [heldBytes(500, 0), heldBytes(500, 100), heldBytes(500, 10_000_000), heldBytes(500, undefined)],
    [18_932, 19_032, 100_852, 100_852],
  );
  const budget = new WaitingBudget({ maxCalls: 2, maxBytes: 100 });
  assert.equal(budget.whyFull(100), undefined);
  budget.add(60);
  assert.match(budget.whyFull(41) ?? '', /60 bytes, its limit is 100/);
  budget.add(40);
  assert.match(budget.whyFull(0) ?? '', /2 calls/);
  budget.remove(60);
  assert.deepEqual([budget.calls, budget.bytes], [1, 40]);
});

test('one function’s callers leave room for others, and nobody is held to a fixed part', () => {
  const mib = 1_048_576;
  const budget = new WaitingBudget({ maxCalls: 1_000_000, maxBytes: 256 * mib });
  const fill = (share = budget.share()): number => {
    let held = 0;
    while (share.whyFull(mib) === undefined) {
      share.add(mib);
      held++;
    }
    assert.match(share.whyFull(mib) ?? '', /this function hold/);
    return held;
  };
  assert.deepEqual([fill(), fill(), fill()], [192, 48, 12], 'of 256, each of what the others left');
  const small = budget.share();
  assert.equal(small.whyFull(200_000), undefined, 'a few calls fit even then');
  small.add(200_000);
  small.remove(200_000);
  assert.equal(budget.bytes, 252 * mib);
});

test('inside is who calls from a trusted pod, for trusted pods only', () => {
  const isInside = createTrust({ isTrustedAddress: (ip) => ip.startsWith('10.') });
  const from = (remoteAddress: string | undefined, forwarded?: string) =>
    isInside({
      socket: { remoteAddress },
      headers: { 'x-forwarded-for': forwarded },
    } as unknown as IncomingMessage);
  assert.deepEqual(
    [from('10.0.0.1'), from('::ffff:10.0.0.1'), from('8.8.8.8'), from(undefined)],
    [true, true, false, false],
  );
  assert.equal(from('10.0.0.1', '10.0.0.2, 10.0.0.3'), true);
  assert.equal(from('10.0.0.1', '10.0.0.2,8.8.8.8'), false);
  assert.equal(from('8.8.8.8', '10.0.0.2'), false, 'words cannot bring anyone in');
  assert.equal(from('10.0.0.1', ''), false);
  assert.equal(plainAddress('::ffff:abcd'), '::ffff:abcd');
});

test('reports average what runs over time, count once, and are silent when there is nothing to say', async () => {
  const clock = new FakeClock();
  const registry = createRegistry('proxy', '0');
  const account = new Account({ namespace: 'n', name: 'f' }, createProxyMetrics(registry), clock);
  clock.advance(1_000);
  assert.equal(account.report('me', 0), undefined);
  assert.doesNotMatch(
    await registry.metrics(),
    /function="f"/,
    'a function that nobody calls costs no series',
  );
  account.started(clock.now(), 5, true);
  clock.advance(500);
  account.left(clock.now());
  account.ended({ kind: 'status', status: 502 }, 500);
  account.ended({ kind: 'cancelled' }, 1);
  clock.advance(500);
  const message = account.report('me', 3);
  assert.deepEqual(message, {
    source: 'proxy',
    pod: 'me',
    running: 0.5,
    runningNow: 0,
    waiting: 3,
    started: 1,
    finished: 1,
    failed: 1,
    windowMs: 1_000,
  });
  clock.advance(1_000);
  assert.equal(account.report('me', 0), undefined);
  assert.match(await registry.metrics(), /requests_total\{namespace="n",function="f",code="5xx"\} 1/);
  account.series.failed('queue-full');
  assert.match(await registry.metrics(), /errors_total\{namespace="n",function="f",reason="queue-full"\} 1/);
  account.close();
  assert.doesNotMatch(await registry.metrics(), /function="f"/, 'nor one that is no more');
  account.ended({ kind: 'status', status: 200 }, 5);
  assert.doesNotMatch(
    await registry.metrics(),
    /function="f"/,
    'a call that outlives its function brings back none',
  );
});

class FakeExchange {
  readonly socket = { bytesRead: 0, bytesWritten: 0, writableLength: 0 };
  readonly req = Object.assign(new EventEmitter(), {
    socket: this.socket,
    complete: true,
    readableFlowing: true as boolean | null,
    readableLength: 0,
  });
  readonly res = Object.assign(new EventEmitter(), {
    destroyed: false,
    shouldKeepAlive: true,
    destroy() {
      this.destroyed = true;
    },
  });

  addTo(calls: ActiveCalls) {
    const call = new NodeRequest(
      this.req as unknown as IncomingMessage,
      this.res as unknown as ServerResponse,
    );
    calls.add(call);
    return call;
  }
}

test('slow clients: cut when it is their turn and nothing moves, and only then', () => {
  const clock = new FakeClock();
  const calls = new ActiveCalls();
  const stop = watchSlowClients(calls, clock, 60_000);
  const [sends, waits, paused, reads, trickles] = Array.from({ length: 5 }, () => new FakeExchange());
  assert.ok(sends && waits && paused && reads && trickles);
  sends.req.complete = false;
  paused.req.complete = false;
  paused.req.readableFlowing = false;
  reads.socket.writableLength = reads.socket.bytesWritten = 1_000;
  trickles.req.complete = false;
  for (const call of [sends, waits, paused, reads, trickles]) call.addTo(calls);
  for (let i = 0; i < 10; i++) {
    trickles.socket.bytesRead++;
    clock.advance(15_000);
  }
  assert.deepEqual(
    [sends, waits, paused, reads, trickles].map((call) => call.res.destroyed),
    [true, false, false, true, false],
  );
  assert.equal(calls.slowClients >= 2, true);
  stop();
  assert.equal(clock.pending, 0);
});

test('the last call’s end is heard by whoever waits for it', async () => {
  const calls = new ActiveCalls();
  await calls.idle();
  const exchange = new FakeExchange();
  const call = exchange.addTo(calls);
  calls.closeAfterAnswers();
  assert.equal(exchange.res.shouldKeepAlive, false);
  const idle = calls.idle();
  calls.remove(call);
  await idle;
});
