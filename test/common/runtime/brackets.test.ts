import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it, test } from 'node:test';
import { withBrackets } from '../../../common/runtime/brackets.ts';
import { listenOn } from '../../../common/runtime/listen-on.ts';

describe('IPv6 addresses as Kubernetes writes them into variables get their brackets', () => {
  const changed = [
    ['nats://fd00:10:96::a:4222', 'nats://[fd00:10:96::a]:4222'],
    ['http://fd00:10:96::b:5001', 'http://[fd00:10:96::b]:5001'],
    ['http://::1:5001/wake/a/b', 'http://[::1]:5001/wake/a/b'],
    ['fd00::a:4222', '[fd00::a]:4222'],
    ['nats://64:ff9b::10.0.0.1:4222', 'nats://[64:ff9b::10.0.0.1]:4222'],
  ] as const;
  for (const [given, expected] of changed) it(given, () => assert.equal(withBrackets(given), expected));

  const same = [
    'nats://10.96.0.10:4222',
    'nats://[fd00::a]:4222',
    'nats://slimfaas-nats.slimfaas.svc:4222',
    'http://slimfaas-scaler:5001/',
    'nats://localhost',
    'abcd:4222',
  ];
  for (const given of same) it(`${given} stays`, () => assert.equal(withBrackets(given), given));
});

test('`::` is left to Node, which takes 0.0.0.0 where there is no IPv6; any other address is taken as it is', async (t) => {
  assert.deepEqual(listenOn('::', 5000), { port: 5000 });
  assert.deepEqual(listenOn('10.0.0.1', 5000), { host: '10.0.0.1', port: 5000 });
  const server = createServer((socket) => socket.end());
  t.after(() => server.close());
  server.listen(listenOn('::1', 0));
  await once(server, 'listening');
  assert.equal((server.address() as AddressInfo).address, '::1');
});
