/** A GOAWAY between the frames of a server that knows nothing of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GoAwayBetweenFrames, isHttp2Preface } from '../../../proxy/services/go-away.ts';

function frame(type: number, payload: Buffer, stream = 0, flags = 0): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

const SETTINGS = frame(4, Buffer.alloc(12, 1));
const DATA = frame(0, Buffer.from('some data'), 1);
const GO_AWAY = '0000080700000000007fffffff00000000';

/** What comes out, in hex, when the bytes come in pieces and the call is made after so many of them. */
function passed(bytes: Buffer, size: number, askedAfter: number): string {
  const stream = new GoAwayBetweenFrames();
  let isAsked = false;
  for (let at = 0; at < bytes.length; at += size) {
    if (at >= askedAfter && !isAsked) {
      isAsked = true;
      stream.goAway();
    }
    stream.write(bytes.subarray(at, at + size));
  }
  if (!isAsked) stream.goAway();
  let out = '';
  for (let part: Buffer | null; (part = stream.read() as Buffer | null);) out += part.toString('hex');
  return out;
}

const hex = (...parts: readonly Buffer[]): string => Buffer.concat(parts).toString('hex');

describe('a GOAWAY', () => {
  const bytes = Buffer.concat([SETTINGS, DATA, DATA]);

  test('comes between two frames, however the bytes are cut, and once', () => {
    for (let size = 1; size <= bytes.length; size++)
      for (let after = 9; after <= bytes.length; after++) {
        const out = passed(bytes, size, after);
        const at = out.indexOf(GO_AWAY);
        const rest = out.slice(0, at) + out.slice(at + GO_AWAY.length);
        assert.equal(rest, bytes.toString('hex'), `pieces of ${size}, asked after ${after}`);
        const ends = [SETTINGS.length, SETTINGS.length + DATA.length, bytes.length].map((end) => end * 2);
        assert.ok(ends.includes(at), `at ${at / 2}: pieces of ${size}, asked after ${after}`);
      }
  });

  test('comes at once where nothing is under way', () => {
    assert.equal(passed(SETTINGS, SETTINGS.length, SETTINGS.length), hex(SETTINGS) + GO_AWAY);
  });

  test('does not come within a block of fields', () => {
    for (const type of [1, 5]) {
      const begun = Buffer.concat([SETTINGS, frame(type, Buffer.from('fields'), 1)]);
      const more = Buffer.concat([frame(9, Buffer.from('more'), 1), frame(9, Buffer.from('last'), 1, 0x4)]);
      for (let after = SETTINGS.length + 1; after < begun.length + more.length; after++)
        assert.equal(
          passed(Buffer.concat([begun, more, DATA]), 1, after),
          hex(begun, more) + GO_AWAY + hex(DATA),
        );
      const whole = Buffer.concat([SETTINGS, frame(type, Buffer.from('fields'), 1, 0x5)]);
      assert.equal(passed(whole, 1, whole.length), hex(whole) + GO_AWAY);
    }
  });

  test('does not come after the end', async () => {
    const stream = new GoAwayBetweenFrames();
    stream.end(SETTINGS);
    await new Promise(setImmediate);
    stream.goAway();
    assert.equal(hex(...((await stream.toArray()) as Buffer[])), hex(SETTINGS));
    stream.goAway();
  });

  test('is not said before the first frame, nor on anything else than HTTP/2', () => {
    assert.equal(passed(SETTINGS, SETTINGS.length, 0), hex(SETTINGS));
    for (const text of ['HTTP/1.1 200 OK\r\n\r\n', '\x16\x03\x01 TLS and more', 'short'])
      assert.equal(passed(Buffer.from(text), 3, 15), hex(Buffer.from(text)));
    const odd = [frame(4, Buffer.alloc(5)), frame(4, Buffer.alloc(6), 1), frame(0, Buffer.alloc(6))];
    for (const first of odd) assert.equal(passed(first, 4, 12), hex(first));
  });
});

test('the preface of HTTP/2 is told from other first bytes', () => {
  assert.equal(isHttp2Preface(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')), true);
  for (const text of ['', 'PRI * HTTP/2.0', 'GET / HTTP/1.1\r\n\r\n'])
    assert.equal(isHttp2Preface(Buffer.from(text)), false);
});
