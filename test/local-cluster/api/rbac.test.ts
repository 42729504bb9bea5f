// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import assert from 'node:assert/strict';
import { createPublicKey, verify, type JsonWebKey } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  ADMIN,
  ISSUER,
  ServiceAccountTokens,
  userNamed,
} from '../../../packages/local-cluster/api/http/auth.ts';
import { describeDenial, isAllowed } from '../../../packages/local-cluster/api/admission/rbac.ts';
import type { AccessRequest } from '../../../packages/local-cluster/api/admission/rbac.ts';
import { Store } from '../../../packages/local-cluster/api/objects/store.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';

const scaler = userNamed('system:serviceaccount:slimfaas:scaler');

function object(name: string, namespace: string | undefined, rest: object): KubeObject {
  return { apiVersion: 'v1', kind: 'X', metadata: { name, namespace }, ...rest } as unknown as KubeObject;
}

const SUBJECT = { kind: 'ServiceAccount', name: 'scaler', namespace: 'slimfaas' };

/** A store in which the scaler's account has these rules, cluster-wide or in one namespace. */
function storeWith(rules: object[], boundIn?: string): Store {
  const store = new Store();
  store.put('clusterroles', object('r', undefined, { rules }));
  const binding = { roleRef: { kind: 'ClusterRole', name: 'r' }, subjects: [SUBJECT] };
  if (boundIn === undefined) store.put('clusterrolebindings', object('b', undefined, binding));
  else store.put('rolebindings', object('b', boundIn, binding));
  return store;
}

const PATCH_SCALE: AccessRequest = {
  verb: 'patch',
  group: 'apps',
  resource: 'deployments',
  subresource: 'scale',
  namespace: 'shop',
  name: 'fibonacci1',
};

describe('rules', () => {
  const rule = (verbs: string[], apiGroups: string[], resources: string[], resourceNames?: string[]) => ({
    verbs,
    apiGroups,
    resources,
    ...(resourceNames ? { resourceNames } : {}),
  });
  const cases: [what: string, rule: object, isAllowed: boolean][] = [
    ['the subresource itself', rule(['patch'], ['apps'], ['deployments/scale']), true],
    ['the resource does not cover its subresource', rule(['patch'], ['apps'], ['deployments']), false],
    ['another subresource', rule(['patch'], ['apps'], ['deployments/status']), false],
    ['every scale', rule(['patch'], ['apps'], ['*/scale']), true],
    ['everything', rule(['*'], ['*'], ['*']), true],
    ['another verb', rule(['get', 'list'], ['apps'], ['deployments/scale']), false],
    ['another group', rule(['patch'], [''], ['deployments/scale']), false],
    ['this name', rule(['patch'], ['apps'], ['deployments/scale'], ['fibonacci1']), true],
    ['another name', rule(['patch'], ['apps'], ['deployments/scale'], ['fibonacci2']), false],
    ['an empty list of names is no limit', rule(['patch'], ['apps'], ['deployments/scale'], []), true],
  ];
  for (const [what, one, expected] of cases) {
    test(`${what}: ${expected ? 'allowed' : 'forbidden'}`, () => {
      assert.equal(isAllowed(storeWith([one]), scaler, PATCH_SCALE), expected);
    });
  }

  test('one of several rules is enough', () => {
    const store = storeWith([rule(['get'], [''], ['pods']), rule(['patch'], ['apps'], ['*'])]);
    assert.equal(isAllowed(store, scaler, { ...PATCH_SCALE, subresource: undefined }), true);
  });

  test('a rule with names never allows what has no name: list, watch, create', () => {
    const store = storeWith([rule(['*'], ['apps'], ['deployments'], ['fibonacci1'])]);
    const access = { ...PATCH_SCALE, subresource: undefined, verb: 'list', name: undefined };
    assert.equal(isAllowed(store, scaler, access), false);
  });
});

describe('bindings', () => {
  const rules = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];

  test('a RoleBinding reaches its own namespace only', () => {
    const store = storeWith(rules, 'shop');
    assert.equal(isAllowed(store, scaler, PATCH_SCALE), true);
    assert.equal(isAllowed(store, scaler, { ...PATCH_SCALE, namespace: 'other' }), false);
    assert.equal(isAllowed(store, scaler, { ...PATCH_SCALE, namespace: undefined }), false);
  });

  test('a RoleBinding may refer to a Role of its namespace', () => {
    const store = new Store();
    store.put('roles', object('r', 'shop', { rules }));
    store.put(
      'rolebindings',
      object('b', 'shop', { roleRef: { kind: 'Role', name: 'r' }, subjects: [SUBJECT] }),
    );
    assert.equal(isAllowed(store, scaler, PATCH_SCALE), true);
  });

  test('a binding to a role that is not there allows nothing', () => {
    const store = storeWith(rules);
    store.remove('clusterroles', undefined, 'r');
    assert.equal(isAllowed(store, scaler, PATCH_SCALE), false);
  });

  const subjects: [what: string, subject: object, isAllowed: boolean][] = [
    ['another account', { kind: 'ServiceAccount', name: 'proxy', namespace: 'slimfaas' }, false],
    ['the account of another namespace', { kind: 'ServiceAccount', name: 'scaler', namespace: 'x' }, false],
    ['all accounts', { kind: 'Group', name: 'system:serviceaccounts' }, true],
    ['all accounts of the namespace', { kind: 'Group', name: 'system:serviceaccounts:slimfaas' }, true],
    ['the account as a user', { kind: 'User', name: 'system:serviceaccount:slimfaas:scaler' }, true],
    ['everyone with a token', { kind: 'Group', name: 'system:authenticated' }, true],
    ['a user of another name', { kind: 'User', name: 'scaler' }, false],
  ];
  for (const [what, subject, expected] of subjects) {
    test(`subject ${what}: ${expected ? 'allowed' : 'forbidden'}`, () => {
      const store = new Store();
      store.put('clusterroles', object('r', undefined, { rules }));
      const binding = { roleRef: { kind: 'ClusterRole', name: 'r' }, subjects: [subject] };
      store.put('clusterrolebindings', object('b', undefined, binding));
      assert.equal(isAllowed(store, scaler, PATCH_SCALE), expected);
    });
  }

  test('the administrator needs no rule', () => {
    assert.equal(isAllowed(new Store(), ADMIN, PATCH_SCALE), true);
  });

  test('a denial names who, what and where', () => {
    assert.equal(
      describeDenial(scaler, PATCH_SCALE),
      'User "system:serviceaccount:slimfaas:scaler" cannot patch resource "deployments/scale" in API group "apps" in the namespace "shop"',
    );
    assert.match(describeDenial(scaler, { ...PATCH_SCALE, namespace: undefined }), /at the cluster scope$/);
  });
});

describe('tokens', () => {
  const tokens = new ServiceAccountTokens();

  test('a token is its user, with the groups of a service account', () => {
    assert.deepEqual(tokens.verify(tokens.issue('system:serviceaccount:a:b')), {
      username: 'system:serviceaccount:a:b',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'],
      for: [ISSUER],
    });
    assert.deepEqual(tokens.verify(tokens.issue('alice'))?.groups, ['system:authenticated']);
    assert.deepEqual(tokens.verify(tokens.issue('admin')), { ...ADMIN, for: [ISSUER] });
  });

  test('a token for another audience is good there alone', () => {
    const token = tokens.issue('alice', { audiences: ['slimfaas'] });
    assert.equal(tokens.verify(token), undefined);
    assert.deepEqual(tokens.verify(token, ['slimfaas', 'x'])?.for, ['slimfaas']);
  });

  test('a token can be checked with the published key alone, and says whose pod it is', () => {
    const token = tokens.issue('system:serviceaccount:a:b', { pod: { name: 'p', uid: 'u' } });
    const [head = '', payload = '', signature = ''] = token.split('.');
    const [jwk] = (tokens.jwks as { keys: JsonWebKey[] }).keys;
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    const signed = Buffer.from(`${head}.${payload}`);
    const options = { key, dsaEncoding: 'ieee-p1363' } as const;
    assert.ok(verify('sha256', signed, options, Buffer.from(signature, 'base64url')));
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    assert.deepEqual(claims['kubernetes.io'].pod, { name: 'p', uid: 'u' });
  });

  const token = tokens.issue('alice');
  const forged = [
    '',
    'x',
    'a.b.c',
    `${token}x`,
    token.slice(0, -1),
    new ServiceAccountTokens().issue('admin'),
    token.replace(/\.[^.]*\./, `.${Buffer.from('{"sub":"admin"}').toString('base64url')}.`),
  ];
  for (const [index, text] of forged.entries()) {
    test(`a forged token (${index}) is nobody's`, () => assert.equal(tokens.verify(text), undefined));
  }
});
