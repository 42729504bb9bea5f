import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PathRule, Visibility } from '../../../common/function/spec.ts';
import { canonicalPrefix } from '../../../common/function/canonical-path.ts';
import { PathRules } from '../../../proxy/functions/path-rules.ts';
import { visibilityOf } from '../../../proxy/functions/visibility.ts';

const rules = (defaultVisibility: Visibility, ...pathVisibility: PathRule[]) => ({
  defaultVisibility,
  pathVisibility,
});
const priv = (prefix: string): PathRule => ({ visibility: 'Private', prefix });
const pub = (prefix: string): PathRule => ({ visibility: 'Public', prefix });

const character = fc.constantFrom(...'abcdmin./;%2eF5\\'.split(''), '%2f', '%2e', '%25', '..', '//');
const anyPath = fc.array(character, { maxLength: 12 }).map((parts) => `/${parts.join('')}`);

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
    '/open/a/../b',
    '//open',
  ])
    assert.equal(visibilityOf(spec, path), 'Private', path);
  for (const path of [
    '/open',
    '/open/',
    '/open/a.b/.c/..d',
    '/open/%20x',
    '/open;v=1/x',
    '/open/caf%c3%a9',
    '/open/100%25',
  ])
    assert.equal(visibilityOf(spec, path), 'Public', path);
});

test('what servers may read differently is private where anything is, and only there', () => {
  const unclear = [
    '//x/admin',
    '/\\x/admin',
    '///x/admin',
    '//x:80/a',
    '/%2Fx/a',
    '/%2fx/a',
    '/a/./b',
    '/a/.%20/b',
  ];
  unclear.push(
    '/a%09',
    '/%5cx',
    '/a%c0%af',
    '/a%e9',
    '/a\u00e9',
    '/a%2561',
    '/a%',
    '/a%u0061',
    '/#/a',
    '/\u00ef\u00bc\u008fa',
  );
  for (const path of unclear) {
    assert.equal(visibilityOf(rules('Public', priv('/admin')), path), 'Private', path);
    assert.equal(visibilityOf(rules('Private', pub('/')), path), 'Private', path);
    assert.equal(visibilityOf(rules('Public', pub('/x')), path), 'Public', path);
    assert.equal(visibilityOf(rules('Public'), path), 'Public', path);
  }
});

test('a rule holds for every way of writing its path, as it is itself written in any way', () => {
  const same: [rule: string, ...paths: string[]][] = [
    ['/a%20b', '/a%20b', '/%61%20b', '/A%20B/c'],
    ['/x//y', '/x/y', '/x/y/z'],
    ['/x\\y/./z', '/x/y/z'],
    ['/x/../admin', '/admin'],
    ['/admin/', '/admin', '/admin/', '/ADMIN', '/admin/x'],
    ['/caf\u00e9', '/caf%C3%A9', '/caf%c3%a9', '/CAF%C3%89', '/caf\u00c3\u00a9'],
    ['/caf%C3%A9', '/caf%C3%A9', '/caf\u00c3\u00a9'],
    ['/100%25', '/100%25', '/100%25x'],
    ['/pin', '/p%C4%B1n', '/p%C4%B0n', '/%EF%BD%90in'],
    ['/a/b', '/a;v=1/b', '/a%3bv=1/b', '/a/b;x'],
  ];
  for (const [rule, ...paths] of same)
    for (const path of paths) {
      const written = `${rule} for ${path}`;
      if (!path.includes('%C4%B0'))
        assert.equal(visibilityOf(rules('Public', priv(rule)), path), 'Private', written);
      assert.equal(visibilityOf(rules('Public', priv(rule)), '/other'), 'Public', rule);
    }
  assert.equal(visibilityOf(rules('Public', priv('/admin/')), '/administrator'), 'Public');
  assert.equal(visibilityOf(rules('Private', pub('/open/')), '/open'), 'Private', 'opens what is under it');
});

test('40,000 rules cost a call no look at each of them', () => {
  let looks = 0;
  const counted = (prefix: string): PathRule => ({
    get visibility(): Visibility {
      looks++;
      return 'Private';
    },
    prefix,
  });
  const many = Array.from({ length: 40_000 }, (_, i) => counted(`/${i.toString(36)}`));
  const spec = rules('Public', ...many);
  assert.equal(visibilityOf(spec, '/-hello'), 'Public');
  looks = 0;
  assert.equal(visibilityOf(spec, '/-hello'), 'Public');
  assert.equal(visibilityOf(spec, `/${(39_999).toString(36)}/x`), 'Private');
  assert.ok(looks <= 4, `${looks} looks`);
});

test('property: what the index answers is what reading the rules in order answers', () => {
  const rule = fc.record({
    visibility: fc.constantFrom<Visibility>('Public', 'Private'),
    prefix: fc.array(fc.constantFrom('a', 'b', '/', 'c'), { maxLength: 6 }).map((t) => `/${t.join('')}`),
  });
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 12 }),
      fc.string({ unit: fc.constantFrom('a', 'b', '/', 'c'), maxLength: 8 }),
      (list, path) => {
        const index = new PathRules(list, ({ prefix }) => prefix);
        assert.equal(
          index.match(`/${path}`),
          list.find(({ prefix }) => `/${path}`.startsWith(prefix))?.visibility,
        );
      },
    ),
    { numRuns: 2_000 },
  );
});

test('property: the canonical form of a rule is stable, and means the same', () => {
  fc.assert(
    fc.property(anyPath, anyPath, (prefix, path) => {
      const canonical = canonicalPrefix(prefix);
      assert.equal(canonicalPrefix(canonical), canonical);
      assert.equal(
        visibilityOf(rules('Public', priv(canonical)), path),
        visibilityOf(rules('Public', priv(prefix)), path),
      );
    }),
    { numRuns: 2_000 },
  );
});

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
