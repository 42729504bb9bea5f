import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProtobuf } from '../../../packages/local-cluster/api/http/protobuf.ts';

/** A field of wire type 2: its number, its length (below 128 here), its bytes. */
function field(number: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

function varint(number: number, ...bytes: number[]): Buffer {
  return Buffer.from([number << 3, ...bytes]);
}

function envelope(kind: string, ...fields: Buffer[]): Buffer {
  const typeMeta = Buffer.concat([field(1, 'v1'), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, Buffer.concat(fields))]);
}

test('texts, maps, lists, numbers and nested messages', () => {
  const entry = Buffer.concat([field(1, 'a'), field(2, 'b')]);
  const metadata = field(1, Buffer.concat([field(1, 'x'), field(11, entry), field(14, 'f'), field(14, 'g')]));
  assert.deepEqual(parseProtobuf(envelope('Namespace', metadata)), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'x', labels: { a: 'b' }, finalizers: ['f', 'g'] },
  });
  const options = Buffer.concat([varint(1, 0xac, 0x02), varint(3, 1), field(4, 'Orphan')]);
  assert.deepEqual(parseProtobuf(envelope('Eviction', field(2, options))).deleteOptions, {
    gracePeriodSeconds: 300,
    orphanDependents: true,
    propagationPolicy: 'Orphan',
  });
});

test('bytes become base64, as in JSON', () => {
  const entry = Buffer.concat([field(1, 'a'), field(2, Buffer.from([0xff, 0]))]);
  assert.deepEqual(parseProtobuf(envelope('Secret', field(2, entry))).data, { a: '/wA=' });
});

test('what is empty counts as absent, even where it is not known', () => {
  const status = field(3, field(1, field(2, '')));
  const metadata = field(1, field(1, ''));
  assert.deepEqual(parseProtobuf(envelope('Namespace', metadata, status)).metadata, {});
});

const refused: [what: string, body: Buffer, message: RegExp][] = [
  [
    'a field that is not known',
    envelope('Namespace', field(9, 'x')),
    /field 9 of Namespace is read as JSON only/,
  ],
  ['a kind that is not known', envelope('Thing'), /kind Thing is read as JSON only/],
  ['no magic number', Buffer.from('{}'), /magic number/],
  ['a message that is cut off', envelope('Namespace', field(1, 'x')).subarray(0, -1), /truncated message/],
  [
    'a number without end',
    envelope('Eviction', field(2, varint(1, ...Array<number>(11).fill(0xff)))),
    /truncated/,
  ],
  ['a wire type that is not used', envelope('Namespace', Buffer.from([0x0d, 0, 0, 0, 0])), /wire type 5/],
];
for (const [what, body, message] of refused) {
  test(`${what} is refused with 415`, () => {
    assert.throws(() => parseProtobuf(body), { code: 415, message });
  });
}
