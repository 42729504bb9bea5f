import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PathRule, Visibility } from '../../../common/function-spec.ts';
import { visibilityOf } from '../../../proxy/visibility.ts';

const rules = (defaultVisibility: Visibility, ...pathVisibility: PathRule[]) => ({
  defaultVisibility,
  pathVisibility,
});
const priv = (prefix: string): PathRule => ({ visibility: 'Private', prefix });
const pub = (prefix: string): PathRule => ({ visibility: 'Public', prefix });

test('without rules the default holds for every path', () => {
  for (const path of ['/', '/a', '/%zz', '/../..'])
    for (const visibility of ['Public', 'Private'] as const)
      assert.equal(visibilityOf(rules(visibility), path), visibility);
});

test('the first matching prefix wins; a query does not count', () => {
  const spec = rules('Public', pub('/admin/open'), priv('/admin'));
  assert.equal(visibilityOf(spec, '/admin/open/door'), 'Public');
  assert.equal(visibilityOf(spec, '/admin/x'), 'Private');
  assert.equal(visibilityOf(spec, '/administrators'), 'Private', 'a prefix of text, as SlimFaas has it');
  assert.equal(visibilityOf(spec, '/x?/admin'), 'Public');
  assert.equal(visibilityOf(rules('Private', pub('/open')), '/open/x?y=/secret'), 'Public');
  assert.equal(visibilityOf(rules('Private', pub('/open')), '/other'), 'Private');
  assert.equal(
    visibilityOf(rules('Public', priv('admin')), '/admin'),
    'Private',
    'a prefix without its slash',
  );
});

test('a private prefix is private however it is written', () => {
  const spec = rules('Public', priv('/admin'));
  for (const path of [
    '/admin',
    '//admin',
    '/./admin',
    '/x/../admin',
    '/x/..//admin',
    '/%61dmin',
    '/%2561dmin',
    '/%252561dmin',
    '/%2fadmin',
    '/%2e%2e/admin',
    '/x%2f..%2fadmin',
    '\\admin',
    '/%5cadmin',
    '/ADMIN',
    '/%41dmin',
    '/;x/admin',
    '/;a=b/../admin',
    '/x/%2e%2e;a/admin',
    '/%ff/../admin',
  ])
    assert.equal(visibilityOf(spec, path), 'Private', path);
});

test('a public prefix is no way into the private rest', () => {
  const spec = rules('Private', pub('/open'));
  for (const path of [
    '/open/../secret',
    '/open/%2e%2e/secret',
    '/open/..%2fsecret',
    '/open/..\\secret',
    '/open/..;/secret',
  ])
    assert.equal(visibilityOf(spec, path), 'Private', path);
  for (const path of ['/open', '/open/', '/open/a/../b', '/open/%20x'])
    assert.equal(visibilityOf(spec, path), 'Public', path);
});

const character = fc.constantFrom(...'abcdmin./;%2eF5\\'.split(''), '%2f', '%2e', '%25', '..', '//');
const anyPath = fc.array(character, { maxLength: 12 }).map((parts) => `/${parts.join('')}`);

/** One way of writing a path that some server reads as the same. */
const disguise = fc
  .array(
    fc.constantFrom<(path: string) => string>(
      encodeSome,
      encodeAll,
      doubleSlashes,
      detour,
      dots,
      upper,
      parameters,
    ),
    {
      maxLength: 4,
    },
  )
  .map((steps) => (path: string) => steps.reduce((written, step) => step(written), path));

test('property: no disguise makes a private path public', () => {
  fc.assert(
    fc.property(disguise, fc.constantFrom('/admin', '/admin/users', '/admin/a/b'), (write, path) => {
      assert.equal(visibilityOf(rules('Public', priv('/admin')), write(path)), 'Private', write(path));
    }),
    { numRuns: 2_000 },
  );
});

test('property: Public is only said when the path as a decoding, resolving server reads it is public', () => {
  const spec = rules('Public', priv('/admin'));
  fc.assert(
    fc.property(anyPath, (path) => {
      if (visibilityOf(spec, path) === 'Private') return;
      const { pathname } = new URL(`http://h${path.replace(/^\/+/, '/')}`);
      assert.ok(!pathname.replaceAll(/\/+/g, '/').startsWith('/admin'), `${path} reads as ${pathname}`);
    }),
    { numRuns: 3_000 },
  );
});

test('property: it always ends with an answer, whatever the path', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.match(visibilityOf(rules('Public', priv('/a'), pub('/b')), `/${text}`), /^P/);
    }),
  );
});

function encodeSome(path: string): string {
  return path.replaceAll(/[am]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
}

function encodeAll(path: string): string {
  return (
    path.slice(0, 1) +
    Array.from(path.slice(1), (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')
  );
}

function doubleSlashes(path: string): string {
  return path.replace('/', '//');
}

function detour(path: string): string {
  return `/nowhere/..${path}`;
}

function dots(path: string): string {
  return `/.${path}`;
}

function upper(path: string): string {
  return path.replaceAll(/(?<!%[0-9a-fA-F]?)[a-z]/g, (c) => c.toUpperCase());
}

function parameters(path: string): string {
  return `/;v=1${path}`;
}
