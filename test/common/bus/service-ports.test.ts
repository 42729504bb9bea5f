/** What proxies say of their ports for Services. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeServicePorts, encodeServicePorts } from '../../../common/bus/service-ports.ts';

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

test('ports come back as they were, in ranges on the way', () => {
  const message = { pod: 'proxy-a', ports: [20_004, 20_000, 20_001, 20_002, 29_999] };
  const data = encodeServicePorts(message);
  assert.match(new TextDecoder().decode(data), /20000-20002,20004,29999/);
  assert.deepEqual(decodeServicePorts(data), {
    pod: 'proxy-a',
    ports: [20_000, 20_001, 20_002, 20_004, 29_999],
  });
  assert.deepEqual(decodeServicePorts(encodeServicePorts({ pod: 'a', ports: [] })), { pod: 'a', ports: [] });
});

test('all 10,000 ports are a short message', () => {
  const ports = Array.from({ length: 10_000 }, (_, index) => 20_000 + index);
  assert.ok(encodeServicePorts({ pod: 'a', ports }).length < 100);
});

for (const [what, value] of [
  ['no object', null],
  ['no pod', { ports: '1' }],
  ['a name longer than a pod may have', { pod: 'a'.repeat(254), ports: '1' }],
  ['ports that are a list', { pod: 'a', ports: [1] }],
  ['words', { pod: 'a', ports: 'all' }],
  ['a port that is none', { pod: 'a', ports: '1-70000' }],
  ['more text than any list of ports has', { pod: 'a', ports: '1', more: 'x'.repeat(512 * 1_024) }],
  ['ranges without end', { pod: 'a', ports: Array.from({ length: 9 }, () => '1-65535').join(',') }],
] as const)
  test(`refused: ${what}`, () => {
    assert.throws(() => decodeServicePorts(text(value)), { name: 'MessageError' });
  });
