import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Place } from '../../../sidecar/limits/breaker.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { Admission } from '../../../sidecar/limits/admission.ts';
import { Fairness } from '../../../sidecar/limits/fairness.ts';
import { OlderProxies } from '../../../sidecar/limits/older-proxies.ts';
import { PlaceGivers, type ProxyLine } from '../../../sidecar/limits/place-lines.ts';
import { waitFor } from '../../helpers/wait.ts';

interface TestLine {
  readonly line: ProxyLine;
  /** Messages since the last look. */
  heard(): string[];
}

function setUp(limit: number) {
  let nowMs = 0;
  const fairness = new Fairness(0.5, () => nowMs);
  const admission = new Admission({ limit, queueLimit: 10, queueTimeoutMs: 1_000, fairness });
  const lines = new PlaceGivers({ admission, log: silentLog, now: () => nowMs });
  const open = (): TestLine => {
    const messages: string[] = [];
    const line = lines.open({ send: (message) => void messages.push(message) });
    return { line, heard: () => messages.splice(0) };
  };
  const later = (ms: number): void => void (nowMs += ms);
  return { admission, lines, open, later };
}

function take(admission: Admission): Place {
  const place = admission.tryEnter();
  if (typeof place === 'string') assert.fail(`refused: ${place}`);
  return place;
}

const idOf = (message: string | undefined): string => /^place (\S+)$/.exec(message ?? '')?.[1] ?? '';

describe('sidecar: place lines', () => {
  it('a place that comes free is held for the proxy whose turn it is, and for nobody else', () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const running = take(admission);
    const [a, b] = [open(), open()];
    a.line.waiting(2);
    b.line.waiting(2);
    assert.deepEqual(a.heard(), []);
    running.release();
    const id = idOf(a.heard()[0]);
    assert.deepEqual(b.heard(), []);
    assert.equal(admission.tryEnter(), 'full', 'who did not wait does not pass');
    assert.equal(admission.breaker.running, 1, 'what is held counts');
    const place = lines.claim(id);
    assert.equal(lines.claim(id), undefined, 'once');
    place?.release();
    assert.equal(b.heard().length, 1);
    lines.stop();
  });

  it('free places are granted as soon as a count comes, and no more than there are', () => {
    const { admission, lines, open } = setUp(3);
    admission.open();
    const a = open();
    a.line.waiting(10);
    assert.equal(a.heard().length, 3);
    assert.equal(admission.breaker.running, 3);
    lines.stop();
  });

  it('a place that is given back goes to the next', () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const [a, b] = [open(), open()];
    a.line.waiting(1);
    b.line.waiting(1);
    const id = idOf(a.heard()[0]);
    b.line.back(id); // not his
    assert.deepEqual(b.heard(), []);
    a.line.back(id);
    assert.equal(b.heard().length, 1);
    a.line.back(id);
    assert.equal(admission.breaker.running, 1);
    lines.stop();
  });

  it('a proxy that dies holds nothing: its places and its count are gone with its line', () => {
    const { admission, lines, open } = setUp(2);
    admission.open();
    const [a, b] = [open(), open()];
    a.line.waiting(9);
    assert.equal(a.heard().length, 2);
    b.line.waiting(2);
    a.line.close();
    assert.equal(b.heard().length, 2);
    assert.deepEqual([lines.size, lines.waiting], [1, 0]);
    lines.stop();
  });

  it('a proxy that does not use its place loses it, and its count is not believed until it says one', async () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const [a, b] = [open(), open()];
    a.line.waiting(100);
    const id = idOf(a.heard()[0]);
    b.line.waiting(1);
    await waitFor(() => lines.expired === 1, { what: 'the place expires' });
    assert.equal(b.heard().length, 1);
    assert.equal(lines.claim(id), undefined);
    assert.equal(lines.waiting, 0);
    lines.stop();
  });

  it('a count that is not repeated for 3 s goes stale', () => {
    const { admission, lines, open, later } = setUp(1);
    admission.open();
    const running = take(admission);
    const [a, b] = [open(), open()];
    a.line.waiting(100);
    later(3_001);
    b.line.waiting(1);
    running.release();
    assert.deepEqual([a.heard().length, b.heard().length], [0, 1]);
    lines.stop();
  });

  it('nothing is granted before the app is ready; then at once', () => {
    const { admission, lines, open } = setUp(2);
    const a = open();
    a.line.waiting(3);
    assert.deepEqual(a.heard(), []);
    admission.open();
    assert.equal(a.heard().length, 2);
    lines.stop();
  });

  it('nothing is granted while draining', () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const running = take(admission);
    const a = open();
    a.line.waiting(3);
    admission.beginDrain();
    running.release();
    assert.deepEqual(a.heard(), []);
    lines.stop();
  });

  it('a raised limit is granted, a lowered one holds', () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const a = open();
    a.line.waiting(5);
    admission.setLimit(3);
    const ids = a.heard().map(idOf);
    assert.equal(ids.length, 3);
    admission.setLimit(1);
    for (const id of ids) lines.claim(id)?.release();
    assert.equal(admission.breaker.running, 1);
    lines.stop();
  });

  it('jobs keep their part of the places, and calls get what jobs leave', async () => {
    const { admission, lines, open } = setUp(2);
    admission.open();
    admission.fairness.areJobsWaiting = true;
    const a = open();
    a.line.waiting(5);
    assert.equal(a.heard().length, 1, 'one of two places is for jobs');
    assert.equal(admission.jobRoom, 1);
    admission.fairness.areJobsWaiting = false; // nothing tells so, yet no place stays idle
    const messages: string[] = [];
    await waitFor(() => messages.push(...a.heard()) > 0, { what: 'the other place is granted' });
    lines.stop();
  });

  it('direct callers in line and callers of a proxy take turns', async () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const running = take(admission);
    const order: string[] = [];
    const stay = new AbortController();
    const places: Place[] = [];
    const direct = Array.from({ length: 4 }, async () => {
      places.push(await admission.enter(stay.signal));
      order.push('direct');
    });
    const a = open();
    a.line.waiting(4);
    running.release();
    for (let i = 0; i < 8; i++) {
      await Promise.resolve(); // a direct caller's place comes by a promise
      await Promise.resolve();
      const id = idOf(a.heard()[0]);
      if (id !== '') order.push('proxy');
      const place = id === '' ? places.shift() : lines.claim(id);
      assert.equal(admission.breaker.running, 1);
      place?.release();
    }
    await Promise.all(direct);
    assert.equal(order.filter((each) => each === 'proxy').length, 4, order.join());
    assert.deepEqual(order.slice(0, 4).toSorted(), ['direct', 'direct', 'proxy', 'proxy'], order.join());
    lines.stop();
  });

  it('what was announced is told to all, and to who opens a line later', () => {
    const { lines, open } = setUp(1);
    const early = open();
    lines.announce(Buffer.from('{"state":"ready"}'));
    const late = open();
    assert.deepEqual(
      [early.heard(), late.heard()],
      [['state {"state":"ready"}'], ['state {"state":"ready"}']],
    );
    lines.stop();
  });

  it('calls of an older proxy take part in the turns, a few at a time', async () => {
    const { admission, lines, open } = setUp(1);
    admission.open();
    const older = new OlderProxies(lines);
    assert.equal(older.mayWait, false, 'without anyone who waits a refusal is right');
    const running = take(admission);
    const a = open();
    a.line.waiting(2);
    assert.equal(older.mayWait, true);
    const stay = new AbortController();
    const call = older.wait(stay.signal);
    const leaving = new AbortController();
    const left = older.wait(leaving.signal);
    leaving.abort();
    assert.equal(await left, undefined);
    running.release();
    for (const id of a.heard().map(idOf)) lines.claim(id)?.release();
    const place = await call;
    assert.ok(place);
    place.release();
    assert.equal(lines.waiting, 0);
    lines.stop();
  });
});
