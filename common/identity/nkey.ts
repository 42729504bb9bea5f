/**
 * Keys of NATS: Ed25519, written in base32 with a letter first that says whose key it is. Made and used with
 * `node:crypto`. The library that comes with the NATS client signs in JavaScript, which takes a starting sidecar
 * milliseconds.
 */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify, type KeyObject } from 'node:crypto';

export type NkeyKind = 'operator' | 'account' | 'user';

export interface Nkey {
  /** `O…`, `A…` or `U…`, 56 characters. */
  readonly publicKey: string;
  /** `SO…`, `SA…` or `SU…`, 58 characters: the secret. */
  readonly seed: string;
  sign(data: Uint8Array): Buffer;
}

/** The first five bits of each kind are its letter in base32. */
const PREFIX: Readonly<Record<NkeyKind, number>> = { operator: 14 << 3, account: 0, user: 20 << 3 };
const SEED_PREFIX = 18 << 3;
const RAW_BYTES = 32;
/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
/** The same before a public key. */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

export function createNkey(kind: NkeyKind): Nkey {
  return nkeyOf(kind, randomBytes(RAW_BYTES));
}

/** @throws Error for what is not a seed of that kind */
export function readSeed(kind: NkeyKind, seed: string): Nkey {
  const bytes = unseal(seed.trim());
  const [first, second] = seedPrefix(kind);
  if (bytes.length !== RAW_BYTES + 2 || bytes[0] !== first || bytes[1] !== second)
    throw new Error(`not the seed of a key of kind ${kind}`);
  return nkeyOf(kind, bytes.subarray(2));
}

export function isPublicKey(kind: NkeyKind, text: string): boolean {
  try {
    const bytes = unseal(text);
    return bytes.length === RAW_BYTES + 1 && bytes[0] === PREFIX[kind];
  } catch {
    return false;
  }
}

export type Verify = (data: Uint8Array, signature: Uint8Array) => boolean;

/** The key is read at the first use. @throws Error for what is not the public key of a user */
export function verifierOf(publicKey: string): Verify {
  if (!isPublicKey('user', publicKey)) throw new Error(`${publicKey} is not a public key`);
  let key: KeyObject | undefined;
  return (data, signature) => {
    key ??= createPublicKey({ key: spkiOf(publicKey), format: 'der', type: 'spki' });
    return verify(null, data, key, signature);
  };
}

function spkiOf(publicKey: string): Buffer {
  return Buffer.concat([SPKI_HEAD, unseal(publicKey).subarray(1)]);
}

function nkeyOf(kind: NkeyKind, raw: Buffer): Nkey {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_HEAD, raw]),
    format: 'der',
    type: 'pkcs8',
  });
  return {
    publicKey: seal(Buffer.concat([Buffer.from([PREFIX[kind]]), rawPublicKey(privateKey)])),
    seed: seal(Buffer.concat([Buffer.from(seedPrefix(kind)), raw])),
    sign: (data) => sign(null, data, privateKey),
  };
}

/** The last 32 bytes of its DER form. */
function rawPublicKey(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-RAW_BYTES);
}

/** Thirteen bits, so that the kind's letter is the second one of a seed. */
function seedPrefix(kind: NkeyKind): [number, number] {
  return [SEED_PREFIX | (PREFIX[kind] >> 5), (PREFIX[kind] & 31) << 3];
}

function seal(bytes: Buffer): string {
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(checksum(bytes));
  return base32(Buffer.concat([bytes, sum]));
}

function unseal(text: string): Buffer {
  const bytes = fromBase32(text);
  const content = bytes.subarray(0, -2);
  if (base32(bytes) !== text) throw new Error('not a key of NATS: it has characters beyond its end');
  if (bytes.length < 3 || bytes.readUInt16LE(bytes.length - 2) !== checksum(content))
    throw new Error('not a key of NATS: its checksum is wrong');
  return content;
}

/** CRC-16, polynomial 0x1021, from 0. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++)
      sum = ((sum & 0x80_00 ? (sum << 1) ^ 0x10_21 : sum << 1) & 0xff_ff) >>> 0;
  }
  return sum;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31];
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31];
}

function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of text) {
    const five = ALPHABET.indexOf(letter);
    if (five < 0) throw new Error('not a key of NATS: it has a character that base32 does not have');
    value = ((value << 5) | five) & 0xff_ff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >>> bits) & 255);
  }
  return Buffer.from(bytes);
}
