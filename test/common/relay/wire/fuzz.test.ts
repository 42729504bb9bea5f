/**
 * The answer parser against valid, spoilt and random bytes: the same verdict however they are cut, and never
 * more lenient than undici. A short run here; `SLIMFAAS_FUZZ_SECONDS=3600` makes it a long one, and
 * `SLIMFAAS_FUZZ_SEED` repeats one that failed.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Dice, spoilt, validAnswer } from './fuzz-input.ts';
import { parseAt, parseWhole, type Parsed } from './parse.ts';
import { undiciParse, type SecondOpinion } from './undici-parse.ts';

const SECONDS = Number(process.env.SLIMFAAS_FUZZ_SECONDS ?? 3);
const SEED = Number(process.env.SLIMFAAS_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** Runs until its share of the time is over; the failing input is in the message. */
async function fuzz(share: number, check: (dice: Dice) => Promise<void> | void): Promise<number> {
  const deadline = performance.now() + SECONDS * 1_000 * share;
  const seeds = new Dice(SEED);
  let runs = 0;
  for (; performance.now() < deadline; runs++) {
    const seed = runs === 0 ? SEED : seeds.below(2 ** 32);
    try {
      await check(new Dice(seed));
    } catch (error) {
      throw new Error(`SLIMFAAS_FUZZ_SEED=${seed} finds it`, { cause: error });
    }
  }
  return runs;
}

function isComplete(parsed: Parsed): boolean {
  return parsed.error === undefined && parsed.finished === true;
}

/** What must not depend on how the bytes were cut. Of an error, only that there was one. */
function verdict(parsed: Parsed): unknown {
  const { error, body, isDone, finished, ...rest } = parsed;
  return error ? 'refused' : { ...rest, body, isDone, finished };
}

function anyInput(dice: Dice): string {
  if (dice.isOne(20)) return dice.repeat(300, () => String.fromCharCode(dice.below(256)));
  const answer = validAnswer(dice);
  return dice.isOne(3) ? answer : spoilt(dice, answer);
}

function checkCuts(bytes: string, cuts: readonly number[]): void {
  const whole = parseWhole(bytes);
  const cut = parseAt(bytes, cuts);
  assert.deepEqual(verdict(cut), verdict(whole), `${JSON.stringify(bytes)} cut at ${cuts}`);
}

const HOP = /^(?:connection|keep-alive|te|upgrade|proxy-.+)$/i;

/** The headers that undici saw, as the relay passes them. */
function onward({ headers, status }: SecondOpinion): string[] {
  const listed = new Set<string>();
  const kept: [string, string][] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name, value] = [
      headers[i] as string,
      (headers[i + 1] as string).replaceAll(/^[ \t]+|[ \t]+$/g, ''),
    ];
    if (name.toLowerCase() === 'connection')
      for (const item of value.split(',')) listed.add(item.trim().toLowerCase());
    const isFraming = /^(?:content-length|transfer-encoding)$/i.test(name);
    if (HOP.test(name) || (status === 204 && isFraming)) continue;
    if (status === 304 && /^transfer-encoding$/i.test(name)) continue;
    kept.push([name, value]);
  }
  return kept.filter(([name]) => !listed.has(name.toLowerCase())).flat();
}

/** Where we are stricter than undici on purpose. Anything else that it takes and we refuse is a bug of ours. */
const STRICTER =
  /Transfer-Encoding|HTTP\/1\.[01]|HTTP\/1\.0|Content-Length|bad status|reason phrase|chunk extension|chunk size|101|informational/;

/**
 * Where undici is stricter and nothing is lost by not being so: it forbids `Connection: close` on a 1xx, wants
 * the insides of chunk extensions (which are dropped here) to be names and values, and knows no unasked 100.
 */
const LAXER = /Data after `Connection: close`|chunk extension|^bad response$/;

/** undici 8.12 counts a space behind a length (which RFC 9110 allows) as a digit of it, and refuses a tab there. */
function isMisreadLength(bytes: string, error: Error | undefined): boolean {
  return (
    /\ncontent-length:[^\r]*[ \t]\r/i.test(bytes) &&
    /does not match content-length|Invalid character in Content-Length/.test(error?.message ?? '')
  );
}

/** A length or coding among the trailers: undici refuses the answer, here it is dropped (RFC 9110 §6.5.1). */
function hasFramingTrailer(bytes: string): boolean {
  return /\n0*(?:;[^\r]*)?\r\n(?:[^\r]+\r\n)*(?:content-length|transfer-encoding):[^\r]*\r\n(?:[^\r]+\r\n)*\r\n/i.test(
    bytes,
  );
}

/**
 * undici lets a status line end in `\r\r\r\n`, head and all. Ours reads on to the empty line and refuses the answer, for
 * the bare CR or for whatever stands behind it.
 */
function hasBareCrInStatusLine(bytes: string): boolean {
  return /^HTTP[^\n]*\r\r/.test(bytes);
}

describe(`fuzzing the answer parser (seed ${SEED}, ${SECONDS} s)`, () => {
  it('a valid answer is taken, whole or cut anywhere', async (t) => {
    const runs = await fuzz(0.2, (dice) => {
      const bytes = validAnswer(dice);
      assert.ok(
        isComplete(parseWhole(bytes)),
        `${JSON.stringify(bytes)}: ${parseWhole(bytes).error?.message}`,
      );
      for (let at = 1; at < bytes.length; at++) checkCuts(bytes, [at]);
    });
    t.diagnostic(`${runs} answers`);
  });

  it('any bytes get one verdict, at every cut and byte by byte', async (t) => {
    const runs = await fuzz(0.4, (dice) => {
      const bytes = anyInput(dice);
      for (let at = 1; at < bytes.length; at++) checkCuts(bytes, [at]);
      checkCuts(
        bytes,
        Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => i + 1),
      );
      const cuts = Array.from({ length: dice.below(6) }, () => dice.below(bytes.length + 1));
      checkCuts(
        bytes,
        cuts.toSorted((a, b) => a - b),
      );
    });
    t.diagnostic(`${runs} inputs`);
  });

  it('what it takes, undici takes, and reads the same', async (t) => {
    let taken = 0;
    const runs = await fuzz(0.4, async (dice) => {
      const bytes = anyInput(dice);
      const [ours, theirs] = [parseWhole(bytes), await undiciParse(bytes)];
      const shown = JSON.stringify(bytes);
      if (!isComplete(ours)) {
        if (theirs.isComplete && !hasBareCrInStatusLine(bytes))
          assert.match(ours.error?.message ?? 'cut', STRICTER, shown);
        return;
      }
      taken++;
      if (isMisreadLength(bytes, theirs.error) || (!theirs.isComplete && hasFramingTrailer(bytes))) return;
      if (!theirs.isComplete) return assert.match(theirs.error?.message ?? 'cut', LAXER, shown);
      assert.equal(ours.status, theirs.status, shown);
      assert.equal(ours.body, theirs.body, shown);
      assert.deepEqual(ours.headers, onward(theirs), shown);
    });
    t.diagnostic(`${runs} inputs, ${taken} of them taken`);
  });
});
