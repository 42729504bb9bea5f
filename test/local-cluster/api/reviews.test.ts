/** What a part asks about its callers: whose token is it, and may they. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call, startLocalApi } from '../../helpers/local-api.ts';

const server = await startLocalApi(after);
const TOKEN_REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';
const ACCESS_REVIEWS = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
const ACCOUNT = 'system:serviceaccount:default:operator';

const post = (path: string, spec: object, user?: string) =>
  call(server, path, { method: 'POST', body: { spec }, ...(user === undefined ? {} : { user }) });

before(async () => {
  const { api } = server;
  const named = (kind: string, name: string, rest: object) => ({ kind, metadata: { name }, ...rest });
  await api.create('serviceaccounts', {
    kind: 'ServiceAccount',
    metadata: { name: 'operator', namespace: 'default' } as never,
  });
  const rules = [{ apiGroups: ['slimfaas.dev'], resources: ['functions/wake'], verbs: ['create'] }];
  await api.create('clusterroles', named('ClusterRole', 'operator', { rules }) as never);
  const roleRef = { kind: 'ClusterRole', name: 'operator' };
  const subjects = [{ kind: 'ServiceAccount', name: 'operator', namespace: 'default' }];
  await api.create(
    'clusterrolebindings',
    named('ClusterRoleBinding', 'operator', { roleRef, subjects }) as never,
  );
});

async function tokenFor(audiences: readonly string[]): Promise<string> {
  const path = '/api/v1/namespaces/default/serviceaccounts/operator/token';
  const { body } = await post(path, { audiences });
  return body.status.token as string;
}

test('a token that was asked for an audience is good for that one, and not for the API server', async () => {
  const token = await tokenFor(['slimfaas']);
  const { body } = await post(TOKEN_REVIEWS, { token, audiences: ['slimfaas'] });
  assert.equal(body.status.authenticated, true);
  assert.equal(body.status.user.username, ACCOUNT);
  assert.deepEqual(body.status.audiences, ['slimfaas']);
  assert.equal((await post(TOKEN_REVIEWS, { token })).body.status.authenticated, undefined);
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await call(server, '/api/v1/pods', { headers })).status, 401);
});

test('an access review answers from RBAC, for a user who is named', async () => {
  const may = async (user: string, resource: object) => {
    const resourceAttributes = { group: 'slimfaas.dev', resource: 'functions', ...resource };
    return (await post(ACCESS_REVIEWS, { user, resourceAttributes })).body.status.allowed as boolean;
  };
  assert.equal(await may(ACCOUNT, { subresource: 'wake', verb: 'create', namespace: 'shop' }), true);
  assert.equal(await may(ACCOUNT, { subresource: 'deadletters', verb: 'list' }), false);
  assert.equal(await may('eve', { subresource: 'wake', verb: 'create', namespace: 'shop' }), false);
});

test('who asks needs the right to ask', async () => {
  for (const path of [TOKEN_REVIEWS, ACCESS_REVIEWS])
    assert.equal((await post(path, { token: 'x', resourceAttributes: {} }, ACCOUNT)).status, 403);
});
