/** `--callback-allow`: which entries allow which URL, at which address. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { UrlAllow } from '../../../common/outbound/allow.ts';

/** `name` stands for an address that the host of the URL resolves to. */
function isAllowed(entries: string[], url: string, address?: string): boolean {
  const allow = new UrlAllow(entries);
  const parsed = allow.url(url);
  if (typeof parsed === 'string') return false;
  return address === undefined || allow.address(parsed, address).isAllowed;
}

test('names: exact, below, any; upper case and the root’s dot mean the same', () => {
  assert.ok(isAllowed(['hooks.example.com'], 'https://hooks.example.com/x', '8.8.8.8'));
  assert.ok(isAllowed(['hooks.example.com'], 'http://HOOKS.example.com.:8080/x', '8.8.8.8'));
  assert.ok(isAllowed(['Hooks.Example.Com'], 'http://hooks.example.com', '8.8.8.8'));
  assert.ok(isAllowed(['*.example.com'], 'https://a.b.example.com', '8.8.8.8'));
  assert.ok(isAllowed(['*'], 'https://anything.at.all', '8.8.8.8'));
  assert.ok(!isAllowed(['hooks.example.com'], 'https://example.com'));
  assert.ok(!isAllowed(['*.example.com'], 'https://example.com'));
  assert.ok(!isAllowed(['*.example.com'], 'https://evilexample.com'));
  assert.ok(!isAllowed(['example.com'], 'https://example.com.evil.org'));
  assert.ok(!isAllowed(['example.com'], 'https://evil.org/example.com'));
});

test('only http and https, no user, no password, no endless URL; and nothing at all without an entry', () => {
  for (const url of [
    'ftp://a.org',
    'file:///etc/passwd',
    'javascript:1',
    '//a.org',
    'a.org',
    '',
    'http://',
    'gopher://a.org',
  ])
    assert.ok(!isAllowed(['*', '0.0.0.0/0'], url), url);
  for (const url of ['https://me@a.org', 'https://me:secret@a.org', `https://a.org/${'x'.repeat(2_048)}`])
    assert.ok(!isAllowed(['*'], url), url);
  const why = new UrlAllow([]).url('https://a.org');
  assert.match(String(why), /--callback-allow/);
});

test('a name alone reaches public addresses; with its port the private network too; loopback never', () => {
  for (const entry of ['in.svc', '*.svc', '*']) {
    const host = entry === '*.svc' ? 'a.svc' : 'in.svc';
    assert.ok(!isAllowed([entry], `http://${host}:8080`, '10.1.2.3'), entry);
    assert.ok(isAllowed([`${entry}:8080`], `http://${host}:8080`, '10.1.2.3'), entry);
    assert.ok(isAllowed([`${entry}:8080`], `http://${host}:8080`, 'fd12::1'), entry);
    assert.ok(!isAllowed([`${entry}:8080`], `http://${host}`, '10.1.2.3'), entry);
    for (const address of ['127.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1'])
      assert.ok(!isAllowed([`${entry}:8080`], `http://${host}:8080`, address), `${entry} ${address}`);
  }
  assert.ok(isAllowed(['in.svc:443'], 'https://in.svc/', '10.0.0.1'), 'the port of the scheme');
  assert.ok(isAllowed(['in.svc:80'], 'http://in.svc/', '10.0.0.1'), 'the port of the scheme');
});

test('addresses and ranges: in the URL itself, or where an allowed name leads; in any spelling', () => {
  for (const url of [
    'http://127.0.0.1:9',
    'http://2130706433:9',
    'http://0x7f.1:9',
    'http://[::ffff:7f00:1]:9',
  ]) {
    assert.ok(!isAllowed(['*', '10.0.0.0/8'], url), url);
    assert.ok(isAllowed(['127.0.0.0/8'], url), url);
    assert.ok(isAllowed(['127.0.0.1'], url), url);
  }
  assert.ok(isAllowed(['127.0.0.1:9'], 'http://127.0.0.1:9'));
  assert.ok(!isAllowed(['127.0.0.1:9'], 'http://127.0.0.1:10'));
  assert.ok(isAllowed(['[0:0::1]:9'], 'http://[::1]:9'));
  assert.ok(isAllowed(['::1'], 'http://[::1]:9'));
  assert.ok(!isAllowed(['::1'], 'http://[::2]:9'));
  assert.ok(isAllowed(['*'], 'http://8.8.8.8'), 'any name, and any public address');
  assert.ok(!isAllowed(['*.example.com'], 'http://8.8.8.8'));
  assert.ok(isAllowed(['in.svc', '10.1.0.0/16'], 'http://in.svc', '10.1.2.3'));
  assert.ok(!isAllowed(['in.svc', '10.1.0.0/16'], 'http://in.svc', '10.2.0.1'));
  assert.ok(!isAllowed(['10.1.0.0/16'], 'http://in.svc', '10.1.2.3'), 'a range allows no name');
  assert.ok(isAllowed(['fd00::/8'], 'http://[fd00::1]'));
});

test('an entry that is none is an error that names it', () => {
  const entries = [
    '**',
    '*.',
    'a b',
    'http://a.org',
    'a.org/x',
    'a.org:0',
    'a.org:70000',
    'a.*.org',
    '10.0.0.0/33',
    '::/129',
    '1.2.3.4/',
    '[::1',
    '-a',
  ];
  for (const entry of entries)
    assert.throws(
      () => new UrlAllow([entry]),
      (error) => error instanceof UsageError && error.message.includes(JSON.stringify(entry)),
      entry,
    );
});

test('without an entry it names the flag that is empty', () => {
  assert.equal(new UrlAllow([]).url('https://a.org'), 'no URL is allowed (--callback-allow is empty)');
  const issuers = new UrlAllow([], 'jwt-issuers');
  assert.equal(issuers.url('https://a.org'), 'no URL is allowed (--jwt-issuers is empty)');
});
