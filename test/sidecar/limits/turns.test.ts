import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Turns } from '../../../sidecar/limits/turns.ts';

const STALE_MS = 3_000;

/** Takes turns while each tells its count again at once, as proxies whose callers come back do. */
function takeTurns(counts: Readonly<Record<string, number>>, rounds: number): string[] {
  const turns = new Turns<string>(STALE_MS);
  const served: string[] = [];
  for (let i = 0; i < rounds; i++) {
    for (const [name, count] of Object.entries(counts)) turns.tell(name, count, i);
    served.push(turns.next(i) ?? 'nobody');
  }
  return served;
}

const timesOf = (served: readonly string[], name: string) => served.filter((each) => each === name).length;

describe('sidecar: turns', () => {
  it('two with the same count take turns', () => {
    assert.equal(takeTurns({ a: 8, b: 8 }, 6).join(''), 'ababab');
  });

  it('three times the callers, three times the turns, evenly mixed', () => {
    assert.equal(takeTurns({ a: 30, b: 10 }, 8).join(''), 'aabaaaba');
  });

  it('nobody gets a turn who does not wait, and a turn takes one of the count', () => {
    const turns = new Turns<string>(STALE_MS);
    assert.equal(turns.next(0), undefined);
    turns.tell('a', 2, 0);
    assert.deepEqual([turns.next(0), turns.next(0), turns.next(0)], ['a', 'a', undefined]);
    assert.equal(turns.waiting, 0);
  });

  it('a count that is not told again is not believed for long', () => {
    const turns = new Turns<string>(STALE_MS);
    turns.tell('dead', 100, 0);
    turns.tell('alive', 1, STALE_MS);
    assert.equal(turns.next(STALE_MS + 1), 'alive');
    assert.equal(turns.next(STALE_MS + 1), undefined);
    assert.equal(turns.waiting, 0);
  });

  it('one caller at a time beside ten: what is owed outlives the moment without callers', () => {
    const turns = new Turns<string>(STALE_MS);
    const served: string[] = [];
    for (let i = 0; i < 110; i++) {
      turns.tell('one', 1, i); // back again after each turn of its own
      turns.tell('ten', 10, i);
      served.push(turns.next(i) ?? 'nobody');
    }
    assert.equal(timesOf(served, 'one'), 10);
  });

  it('who went is forgotten', () => {
    const turns = new Turns<string>(STALE_MS);
    turns.tell('a', 5, 0);
    turns.remove('a');
    assert.deepEqual([turns.waiting, turns.next(0)], [0, undefined]);
  });

  it('a count that is none is an error of ours', () => {
    const turns = new Turns<string>(STALE_MS);
    for (const count of [-1, 1.5, Number.NaN]) assert.throws(() => turns.tell('a', count, 0), RangeError);
  });

  it('property: over any counts each gets its part of the turns, never more than one round off', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 300 }), (all, rounds) => {
        const total = all.reduce((sum, count) => sum + count, 0);
        const served = takeTurns(Object.fromEntries(all.map((count, i) => [`m${i}`, count])), rounds);
        for (const [i, count] of all.entries()) {
          const due = total === 0 ? 0 : (rounds * count) / total;
          assert.ok(Math.abs(timesOf(served, `m${i}`) - due) <= all.length, `m${i} of ${all.join()}`);
        }
      }),
    );
  });

  it('property: turns are never more than what was told, whatever comes and goes', () => {
    const step = fc.oneof(
      fc.record({ who: fc.integer({ min: 0, max: 3 }), count: fc.integer({ min: 0, max: 9 }) }),
      fc.constant('next' as const),
      fc.record({ gone: fc.integer({ min: 0, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const turns = new Turns<number>(STALE_MS);
        const left = new Map<number, number>();
        for (const each of steps) {
          if (each === 'next') {
            const who = turns.next(0);
            const waiting = [...left.values()].some((count) => count > 0);
            assert.equal(who !== undefined, waiting, 'no turn is lost while somebody waits');
            if (who !== undefined) left.set(who, (left.get(who) ?? 0) - 1);
          } else if ('gone' in each) {
            turns.remove(each.gone);
            left.delete(each.gone);
          } else {
            turns.tell(each.who, each.count, 0);
            left.set(each.who, each.count);
          }
          assert.ok([...left.values()].every((count) => count >= 0));
          assert.equal(
            turns.waiting,
            [...left.values()].reduce((sum, count) => sum + count, 0),
          );
        }
      }),
    );
  });
});
