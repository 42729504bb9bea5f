/** `slimfaas.dev/hosts`: what may be written, what may be claimed, and whose a request's Host is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostPolicy, HostTable, type HostOwner } from '../../../common/function/hosts.ts';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';

const read = (hosts: string) =>
  parseAnnotations({ 'SlimFaas/Function': 'true', 'slimfaas.dev/hosts': hosts });

/** @param at when it was created */
function owner(key: string, hosts: string, at = 0): HostOwner {
  const [namespace = '', name = ''] = key.split('/');
  return { id: { namespace, name }, createdAtMs: at, hosts: read(hosts).spec.hosts };
}

function tableOf(policy: readonly string[], ...owners: HostOwner[]): HostTable<HostOwner> {
  const table = new HostTable<HostOwner>(new HostPolicy(policy));
  for (const each of owners) table.add(each);
  return table;
}

const found = (table: HostTable<HostOwner>, host: string, path = '/') => {
  const id = table.find(host, path)?.id;
  return id && `${id.namespace}/${id.name}`;
};

test('a list of hosts, with a path each if it is wanted', () => {
  assert.deepEqual(read('Shop.Example.com, *.shop.example.com/, a.example/api/v1/').spec.hosts, [
    { host: 'shop.example.com', prefix: '/' },
    { host: '*.shop.example.com', prefix: '/' },
    { host: 'a.example', prefix: '/api/v1' },
  ]);
  assert.deepEqual(read('').spec.hosts, []);
});

test('what is no host is a fault that names it, and the others count', () => {
  const wrong = [
    '10.0.0.1',
    'a.example:80',
    'https://a.example',
    '*',
    'a.*.example',
    '*a.example',
    '-a.example',
  ];
  const paths = ['a.example/%41', 'a.example/../x', 'a.example//x', 'a.example/x?y', 'ä.example'];
  for (const item of [...wrong, ...paths]) {
    const { spec, faults } = read(`good.example,${item}`);
    assert.deepEqual(spec.hosts, [{ host: 'good.example', prefix: '/' }], item);
    assert.deepEqual([faults.length, faults[0]?.value], [1, item]);
    assert.match(faults[0]?.problem ?? '', /allowed: shop\.example\.com/);
  }
});

test('more hosts than the bound: the first ones, and a fault', () => {
  const { spec, faults } = read(Array.from({ length: 25 }, (_, i) => `h${i}.example`).join(','));
  assert.equal(spec.hosts.length, 20);
  assert.match(faults[0]?.problem ?? '', /25 hosts; allowed: at most 20/);
});

test('the most exact host wins, then the longest path, by whole segments', () => {
  const table = tableOf(
    ['*.example.com', 'example.com'],
    owner('ns/exact', 'shop.example.com'),
    owner('ns/api', 'shop.example.com/api'),
    owner('ns/v2', 'shop.example.com/api/v2'),
    owner('ns/below', '*.shop.example.com'),
    owner('ns/all', '*.example.com'),
    owner('ns/part', 'part.example.com/x'),
  );
  const cases: [host: string, path: string, function_: string | undefined][] = [
    ['shop.example.com', '/', 'ns/exact'],
    ['SHOP.example.com:8080', '/apis', 'ns/exact'],
    ['shop.example.com.', '/api', 'ns/api'],
    ['shop.example.com', '/api?q=/v2', 'ns/api'],
    ['shop.example.com', '/api/v2/x', 'ns/v2'],
    ['a.b.shop.example.com', '/', 'ns/below'],
    ['other.example.com', '/', 'ns/all'],
    ['part.example.com', '/x/y', 'ns/part'],
    ['part.example.com', '/y', 'ns/all'],
    ['example.com', '/', undefined],
    ['shop.example.org', '/', undefined],
    ['', '/', undefined],
    [`${'a.'.repeat(4_000)}example.com`, '/', undefined],
  ];
  for (const [host, path, name] of cases) assert.equal(found(table, host, path), name, `${host}${path}`);
});

test('what two claim is the older one’s; when it goes, the other has it', () => {
  const [young, old] = [owner('b/young', 'a.example', 2), owner('a/old', 'a.example', 1)];
  const table = tableOf(['*'], young, old);
  assert.equal(found(table, 'a.example'), 'a/old');
  assert.equal(table.ownerBefore(young, young.hosts[0] as HostOwner['hosts'][0]), old);
  assert.equal(table.ownerBefore(old, old.hosts[0] as HostOwner['hosts'][0]), undefined);
  table.remove(old);
  assert.equal(found(table, 'a.example'), 'b/young');
  table.remove(young);
  assert.equal(table.isEmpty, true);
});

test('by default nothing may be claimed; a host that is given to a namespace is its alone', () => {
  assert.equal(found(tableOf([], owner('ns/a', 'a.example')), 'a.example'), undefined);
  const policy = ['*.example', 'a=*.a.example', 'both=x.a.example'];
  const table = tableOf(
    policy,
    owner('b/wide', '*.example'),
    owner('b/thief', 'shop.a.example'),
    owner('a/own', 'shop.a.example', 9),
    owner('both/x', 'x.a.example', 9),
    owner('c/none', 'c.test'),
  );
  assert.equal(found(table, 'b.example'), 'b/wide');
  assert.equal(found(table, 'shop.a.example'), 'a/own');
  assert.equal(found(table, 'x.a.example'), 'both/x');
  assert.equal(found(table, 'free.a.example'), undefined, 'not a wildcard’s of another namespace either');
  assert.equal(found(table, 'c.test'), undefined);
});

test('an item of the policy that is none is an error that names it', () => {
  for (const item of ['http://x', 'a=b=c', 'A=x.example', '=x.example', 'x.example/p', '10.0.0.1'])
    assert.throws(
      () => new HostPolicy([item]),
      (error: Error) => {
        assert.ok(error.message.includes(JSON.stringify(item)), error.message);
        return /--function-hosts.*allowed: \[namespace=\]host/.test(error.message);
      },
    );
});
