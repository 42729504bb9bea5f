/** Frames are made here by hand and, in the tunnel's own tests, by the `ws` library: two opinions on RFC 6455. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FrameFilter } from '../../../common/tunnel/frame-filter.ts';
import { closeFrame, FrameTracker } from '../../../common/tunnel/websocket-frames.ts';

interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly isMasked?: boolean;
}

function encode({ opcode, payload, isMasked = false }: Frame): Buffer {
  const length = payload.length;
  const mask = isMasked ? 0x80 : 0;
  let header: Buffer;
  if (length < 126) header = Buffer.from([0x80 | opcode, mask | length]);
  else if (length < 65_536) {
    header = Buffer.from([0x80 | opcode, mask | 126, 0, 0]);
    header.writeUInt16BE(length, 2);
  } else {
    header = Buffer.from([0x80 | opcode, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, isMasked ? Buffer.from([1, 2, 3, 4]) : Buffer.alloc(0), payload]);
}

const frame: fc.Arbitrary<Frame> = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 9, 10),
  payload: fc
    .oneof(
      { weight: 6, arbitrary: fc.nat({ max: 130 }) },
      { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536) },
    )
    .map((n) => Buffer.alloc(n, 0x88)), // payload bytes that look like close frames must not deceive
  isMasked: fc.boolean(),
});

/** Cuts `bytes` at the given places (modulo its length). */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((p) => p % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length));
}

describe('websocket frames: the tracker', () => {
  it('is at a boundary after whole frames and nowhere else, however the bytes are cut', () => {
    const frames = fc.array(frame, { minLength: 1, maxLength: 6 });
    const places = fc.array(fc.nat({ max: 200_000 }), { maxLength: 12 });
    fc.assert(
      fc.property(frames, places, (list, cuts) => {
        const encoded = list.map(encode);
        const ends = new Set<number>();
        let total = 0;
        for (const bytes of encoded) ends.add((total += bytes.length));
        const tracker = new FrameTracker();
        let seen = 0;
        for (const chunk of cut(Buffer.concat(encoded), cuts)) {
          assert.equal(tracker.advance(chunk), chunk.length);
          seen += chunk.length;
          assert.equal(tracker.isAtBoundary, seen === 0 || ends.has(seen), `after ${seen} of ${total} bytes`);
        }
        assert.equal(tracker.hasClosed, false);
      }),
      { numRuns: 200 },
    );
  });

  it('sees a close frame go by', () => {
    const tracker = new FrameTracker();
    tracker.advance(encode({ opcode: 1, payload: Buffer.from('x') }));
    assert.equal(tracker.hasClosed, false);
    tracker.advance(closeFrame(1000, ''));
    assert.equal(tracker.hasClosed, true);
  });

  it('stops at the end of the frame under way when asked', () => {
    const first = encode({ opcode: 2, payload: Buffer.alloc(300) });
    const both = Buffer.concat([first, encode({ opcode: 1, payload: Buffer.from('next') })]);
    const tracker = new FrameTracker();
    tracker.advance(both.subarray(0, 100));
    assert.equal(tracker.advance(both.subarray(100), true), first.length - 100);
    assert.equal(tracker.advance(both.subarray(first.length), true), 0);
  });
});

/** Runs chunks through a filter; closes before the chunk at `closeAt`. */
async function through(chunks: readonly Buffer[], closeAt: number): Promise<Buffer> {
  const filter = new FrameFilter();
  const out: Buffer[] = [];
  filter.on('data', (chunk: Buffer) => out.push(chunk));
  for (const [i, chunk] of chunks.entries()) {
    if (i === closeAt) filter.sayClose(1001, 'going');
    await new Promise<void>((resolve) => filter.write(chunk, () => resolve()));
  }
  if (closeAt >= chunks.length) filter.sayClose(1001, 'going');
  filter.end();
  await new Promise((resolve) => filter.once('end', resolve));
  return Buffer.concat(out);
}

describe('websocket frames: the filter', () => {
  const goodbye = closeFrame(1001, 'going');

  it('passes everything untouched as long as nobody closes', async () => {
    const bytes = Buffer.concat(
      [1, 2, 3].map((n) => encode({ opcode: 1, payload: Buffer.alloc(n * 100, n) })),
    );
    assert.deepEqual(
      await through([bytes, bytes], 99).then((all) => all.subarray(0, bytes.length * 2)),
      Buffer.concat([bytes, bytes]),
    );
  });

  it('puts the close frame after the frame under way and drops what follows, wherever the bytes are cut', async () => {
    const frames = fc.array(frame, { minLength: 1, maxLength: 4 });
    const places = fc.array(fc.nat({ max: 70_000 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(frames, places, fc.nat({ max: 6 }), async (list, cuts, closeAt) => {
        const encoded = list.map(encode);
        const chunks = cut(Buffer.concat(encoded), cuts);
        const sentBefore = chunks.slice(0, closeAt).reduce((sum, chunk) => sum + chunk.length, 0);
        let whole = 0;
        for (const bytes of encoded) if (whole < sentBefore) whole += bytes.length;
        const expected = Buffer.concat([Buffer.concat(encoded).subarray(0, whole), goodbye]);
        assert.ok(expected.equals(await through(chunks, closeAt)));
      }),
      { numRuns: 150 },
    );
  });

  it('says nothing after the server’s own close frame', async () => {
    const bytes = closeFrame(1000, 'done');
    assert.deepEqual(await through([bytes], 1), bytes);
  });

  it('makes an unmasked close frame with code and reason, within the 125 bytes of a control frame', () => {
    assert.deepEqual(closeFrame(1001, 'bye'), Buffer.from([0x88, 5, 0x03, 0xe9, ...Buffer.from('bye')]));
    assert.equal(closeFrame(1001, 'x'.repeat(300)).length, 127);
  });
});
