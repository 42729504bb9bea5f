import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { createNkey, isPublicKey, readSeed, type NkeyKind } from '../../../common/identity/nkey.ts';

/** The library that comes with the NATS client, as the other opinion. */
interface TheirKey {
  getPublicKey(): string;
  sign(data: Uint8Array): Uint8Array;
  verify(data: Uint8Array, signature: Uint8Array): boolean;
}
const theirs = createRequire(import.meta.url)('nkeys.js') as {
  fromSeed(seed: Uint8Array): TheirKey;
  fromPublic(key: string): TheirKey;
  createUser(): TheirKey & { getSeed(): Uint8Array };
};

const KINDS: readonly [NkeyKind, string][] = [
  ['operator', 'O'],
  ['account', 'A'],
  ['user', 'U'],
];

for (const [kind, letter] of KINDS)
  test(`a key of kind ${kind} is the same key for the NATS library`, () => {
    for (let i = 0; i < 20; i++) {
      const key = createNkey(kind);
      const other = theirs.fromSeed(Buffer.from(key.seed));
      const data = Buffer.from(`nonce ${i}`);
      assert.equal(key.publicKey[0], letter);
      assert.equal(key.seed.slice(0, 2), `S${letter}`);
      assert.equal(other.getPublicKey(), key.publicKey);
      assert.ok(theirs.fromPublic(key.publicKey).verify(data, key.sign(data)));
      assert.deepEqual(Buffer.from(other.sign(data)), key.sign(data));
    }
  });

test('a seed that the NATS library made is read, also with a newline at its end', () => {
  const made = theirs.createUser();
  const key = readSeed('user', `${Buffer.from(made.getSeed()).toString()}\n`);
  assert.equal(key.publicKey, made.getPublicKey());
});

test('what is not a seed of that kind is refused', () => {
  const { seed, publicKey } = createNkey('account');
  const typo = seed.slice(0, 10) + (seed[10] === 'A' ? 'B' : 'A') + seed.slice(11);
  assert.throws(() => readSeed('user', seed), /not the seed of a key of kind user/);
  assert.throws(() => readSeed('account', publicKey), /not the seed/);
  assert.throws(() => readSeed('account', typo), /checksum/);
  assert.throws(() => readSeed('account', ''), /checksum/);
  assert.throws(() => readSeed('account', seed.toLowerCase()), /base32/);
});

test('a public key is known by its kind and its checksum', () => {
  const { publicKey } = createNkey('user');
  assert.ok(isPublicKey('user', publicKey));
  assert.ok(!isPublicKey('account', publicKey));
  assert.ok(!isPublicKey('user', `${publicKey}A`));
  assert.ok(!isPublicKey('user', publicKey.slice(1)));
  assert.ok(!isPublicKey('user', ''));
  assert.ok(!isPublicKey('user', 'ünicode'));
});
