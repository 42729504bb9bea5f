/** Which addresses lie inside: the ranges one by one, and the ways to write an IPv4 address as an IPv6 one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressKind } from '../../../common/outbound/address.ts';

const local = [
  '0.0.0.0',
  '0.1.2.3',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  '224.0.0.1',
  '255.255.255.255',
  '240.0.0.1',
  '::',
  '::1',
  '::127.0.0.1',
  'fe80::1',
  'fe80::1%eth0',
  'febf:ffff::1',
  'fec0::1',
  'ff02::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fd00:c1::a9fe:a9fe',
  '3fff::1',
  '5f00::1',
  '64:ff9b:1::a00:1',
  '2001:0:1::1',
  '2001:db8::1',
  '100::1',
];
const inside = [
  '10.0.0.1',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '100.64.0.1',
  '100.127.255.255',
  '198.19.0.1',
  'fc00::1',
  'fd12:3456::1',
];
const outside = [
  '8.8.8.8',
  '1.1.1.1',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '11.0.0.1',
  '169.253.0.1',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00:1450::1',
];

test('loopback, link-local, metadata and reserved addresses are local', () => {
  for (const address of local) assert.equal(addressKind(address), 'local', address);
});

test('networks of an organisation are private; the addresses beside them are public', () => {
  for (const address of inside) assert.equal(addressKind(address), 'private', address);
  for (const address of outside) assert.equal(addressKind(address), 'public', address);
});

test('whatever is no address must not be connected to', () => {
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5', '::g', '0x7f.0.0.1', '127.1'])
    assert.equal(addressKind(text), 'local', text);
});

const byte = fc.integer({ min: 0, max: 255 });
const anyIpv4 = fc.oneof(
  fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.')),
  fc.constantFrom(...[...local, ...inside, ...outside].filter((address) => !address.includes(':'))),
);

test('property: an IPv4 address is the same inside IPv6, however it is written', () => {
  fc.assert(
    fc.property(anyIpv4, (address) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
      const kind = addressKind(address);
      const written = [
        `::ffff:${address}`,
        `::ffff:${hex}`,
        `0:0:0:0:0:FFFF:${hex}`,
        `::ffff:0:${hex}`,
        `64:ff9b::${address}`,
        `64:ff9b::${hex}`,
        `2002:${hex}::1`,
      ];
      for (const text of written) assert.equal(addressKind(text), kind, text);
    }),
  );
});
