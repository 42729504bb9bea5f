import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bufferBody,
  iterableBody,
  NO_BODY,
  replayableBody,
  type BodyConsumer,
  type RawHeaders,
} from '../../../../common/relay/index.ts';
import { HandBody } from '../exchange/hand-body.ts';

/** Takes what it is given until told to pause. */
class Taker implements BodyConsumer {
  text = '';
  trailers: RawHeaders | undefined;
  error: Error | undefined;
  /** Says "pause" after so many more chunks. */
  appetite = Infinity;

  data(chunk: Buffer): boolean {
    this.text += chunk.toString('latin1');
    return --this.appetite > 0;
  }

  end(trailers: RawHeaders): void {
    this.trailers = trailers;
  }

  fail(error: Error): void {
    this.error = error;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text);
}

describe('a body that can be replayed', () => {
  it('passes a source without bytes, or with all of them, through', () => {
    assert.equal(replayableBody(NO_BODY), NO_BODY);
    const whole = bufferBody(Buffer.from('abc'));
    assert.equal(replayableBody(whole), whole);
    assert.equal(bufferBody(Buffer.alloc(0)), NO_BODY);
  });

  it('gives the same bytes and trailers again', () => {
    const source = new HandBody();
    const body = replayableBody(source);
    const [first, second] = [new Taker(), new Taker()];
    body.start(first);
    source.consumer?.data(Buffer.from('ab'));
    source.consumer?.data(Buffer.from('c'));
    source.consumer?.end(['X', 'y']);
    body.stop();
    assert.equal(body.canStart, true);
    body.start(second);
    assert.deepEqual([first.text, second.text], ['abc', 'abc']);
    assert.deepEqual(second.trailers, ['X', 'y']);
    assert.deepEqual(source.calls, ['start', 'pause']);
  });

  it('goes on with the source where the first try stopped in the middle', () => {
    const source = new HandBody(6);
    const body = replayableBody(source);
    assert.equal(body.length, 6);
    body.start(new Taker());
    source.consumer?.data(Buffer.from('abc'));
    body.stop();
    assert.equal(source.consumer?.data(Buffer.from('d')), false, 'kept, and no more for now');
    const second = new Taker();
    body.start(second);
    assert.equal(second.text, 'abcd');
    assert.equal(source.calls.at(-1), 'resume');
    source.consumer?.data(Buffer.from('ef'));
    source.consumer?.end([]);
    assert.equal(second.text, 'abcdef');
    assert.deepEqual(second.trailers, []);
  });

  it('lets go of its memory past the limit, streams on, and then reads off what is left', () => {
    const source = new HandBody();
    const body = replayableBody(source, 4);
    const taker = new Taker();
    body.start(taker);
    source.consumer?.data(Buffer.from('abcd'));
    assert.equal(body.canStart, true);
    source.consumer?.data(Buffer.from('e'));
    assert.equal(body.canStart, false);
    source.consumer?.data(Buffer.from('f'));
    assert.equal(taker.text, 'abcdef');
    body.stop();
    assert.equal(source.calls.at(-1), 'stop');
  });

  it('says how much is kept once that is known: what there was, or nothing', () => {
    const kept: number[] = [];
    for (const texts of [
      ['ab', 'c'],
      ['abc', 'de', 'f'],
    ]) {
      const source = new HandBody();
      const body = replayableBody(source, 4, (bytes) => kept.push(bytes));
      body.start(new Taker());
      for (const text of texts) source.consumer?.data(Buffer.from(text));
      source.consumer?.end([]);
    }
    assert.deepEqual(kept, [3, 0]);
  });

  it('heeds a pause while it replays', () => {
    const source = new HandBody();
    const body = replayableBody(source);
    body.start(new Taker());
    for (const text of ['a', 'b', 'c']) source.consumer?.data(Buffer.from(text));
    body.stop();
    const slow = new Taker();
    slow.appetite = 2;
    body.start(slow);
    assert.equal(slow.text, 'ab');
    assert.equal(source.calls.at(-1), 'pause', 'the source waits as long as the consumer does');
    slow.appetite = Infinity;
    body.resume();
    assert.equal(slow.text, 'abc');
    assert.equal(source.calls.at(-1), 'resume');
  });

  it('cannot be started again once its source has broken', () => {
    const source = new HandBody();
    const body = replayableBody(source);
    const taker = new Taker();
    body.start(taker);
    source.consumer?.fail(new Error('gone'));
    assert.equal(taker.error?.message, 'gone');
    assert.equal(body.canStart, false);
  });

  it('gives memory away only when it keeps none of it', () => {
    const source = Object.assign(new HandBody(), { givesMemoryAway: true });
    const body = replayableBody(source, 4);
    body.start(new Taker());
    source.consumer?.data(Buffer.from('abcd'));
    assert.equal(body.givesMemoryAway, false);
    source.consumer?.data(Buffer.from('e'));
    assert.equal(body.givesMemoryAway, true);
  });

  it('that was never started leaves its source alone when stopped', () => {
    const source = new HandBody();
    replayableBody(source).stop();
    assert.deepEqual(source.calls, []);
  });
});

describe('a body from an iterable', () => {
  it('comes piece by piece, and only once', async () => {
    const body = iterableBody(pieces('a', 'bc'));
    assert.equal(body.canStart, true);
    const taker = new Taker();
    body.start(taker);
    assert.equal(body.canStart, false);
    while (!taker.trailers) await turn();
    assert.equal(taker.text, 'abc');
  });

  it('waits while its consumer does', async () => {
    const body = iterableBody(pieces('a', 'b'));
    const taker = new Taker();
    taker.appetite = 1;
    body.start(taker);
    for (let i = 0; i < 5; i++) await turn();
    assert.equal(taker.text, 'a');
    taker.appetite = Infinity;
    body.resume();
    while (!taker.trailers) await turn();
    assert.equal(taker.text, 'ab');
  });

  it('stops reading its source when it is stopped, paused or not', async () => {
    const source = { isReturned: false };
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array([97]);
      } finally {
        source.isReturned = true;
      }
    }
    const body = iterableBody(endless());
    const taker = new Taker();
    taker.appetite = 1;
    body.start(taker);
    await turn();
    body.stop();
    while (!source.isReturned) await turn();
    assert.equal(taker.trailers, undefined, 'an unfinished body must not look finished');
  });

  it('tells of a source that breaks', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array([97]);
      throw new Error('store');
    }
    const taker = new Taker();
    iterableBody(broken()).start(taker);
    while (!taker.error) await turn();
    assert.equal((taker.error.cause as Error).message, 'store');
  });
});
