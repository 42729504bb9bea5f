/** Addresses and the lines of the log. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clusterAddresses, networkCandidates } from '../../packages/local-cluster/addresses.ts';
import { nodeNames } from '../../packages/local-cluster/controllers/node.ts';
import { readableLine } from '../../packages/local-cluster/log-lines.ts';

test('networks: each once, from 16 to 250, beginning anywhere', () => {
  for (const random of [0, 0.5, 0.999_999]) {
    const all = networkCandidates(() => random);
    assert.equal(new Set(all).size, 235);
    assert.deepEqual([Math.min(...all), Math.max(...all)], [16, 250]);
  }
  assert.notEqual(networkCandidates(() => 0)[0], networkCandidates(() => 0.5)[0]);
});

test('pod addresses: apart from each other and from services, used again only after all others', () => {
  const addresses = clusterAddresses(42);
  const first = addresses.allocatePod();
  assert.equal(first, '127.42.1.1');
  assert.equal(addresses.isPodAddress(first), true);
  addresses.releasePod(first);
  assert.equal(addresses.isPodAddress(first), false);
  const others = Array.from({ length: 127 * 254 - 1 }, () => addresses.allocatePod());
  assert.equal(new Set(others).size, others.length);
  assert.equal(others.includes(first), false);
  assert.equal(others.at(-1), '127.42.127.254');
  assert.equal(addresses.allocatePod(), first);
  assert.throws(() => addresses.allocatePod(), /all 32258 pod addresses of 127\.42\.0\.0\/16 are in use/);
});

test('service addresses lie above', () => {
  const addresses = clusterAddresses(42);
  const services = Array.from({ length: 300 }, () => addresses.allocateService());
  assert.deepEqual(
    [services[0], services[253], services[254]],
    ['127.42.128.1', '127.42.128.254', '127.42.129.1'],
  );
});

test('nodes', () => assert.deepEqual(nodeNames(3), ['local', 'local-2', 'local-3']));

describe('log lines', () => {
  const now = new Date(2026, 0, 1, 12, 30, 5);
  const line = (text: string, pod = 'hello', container = 'app') =>
    readableLine({ namespace: 'slimfaas', pod, container, line: text }, now);

  for (const [what, pod, container, who] of [
    ['a part without its random tail', 'slimfaas-proxy-2bcdf4gh5-x7k2p', 'proxy', 'proxy'],
    ['a function', 'fibonacci1-dfghjklmnp-b4c5d', 'fibonacci', 'fibonacci1'],
    ['its sidecar', 'fibonacci1-dfghjklmnp-b4c5d', 'slimfaas-sidecar', 'fibonacci1/sidecar'],
    ['a StatefulSet', 'mysql-0', 'mysql', 'mysql-0'],
    ['a name that only looks alike', 'my-app-alice', 'app', 'my-app-alice'],
  ] as const) {
    test(what, () => assert.equal(line('hi', pod, container), `12:30:05 ${who.padEnd(16)} hi`));
  }

  test('JSON becomes words; what everybody knows is left out', () => {
    const time = new Date(2026, 0, 1, 1, 2, 3).toISOString();
    const text = JSON.stringify({
      level: 'warn',
      time,
      part: 'proxy',
      pod: 'x',
      msg: 'it happened',
      count: 3,
      name: 'a',
      why: { b: 1 },
    });
    assert.equal(line(text), '01:02:03 hello            warn  it happened count=3 name=a why={"b":1}');
  });

  for (const text of ['{ not JSON', '{"no":"message"}', '', '{"msg":1}']) {
    test(`shown as it is: ${text || 'an empty line'}`, () =>
      assert.equal(line(text), `12:30:05 ${'hello'.padEnd(16)} ${text}`));
  }

  test('a time that is none', () => assert.match(line('{"msg":"m","time":"soon"}'), /^--:--:-- /));
});
