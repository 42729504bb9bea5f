/** Lists, watches and the real client library's informers, with the faults that they must live through. */
// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import { CoreV1Api, makeInformer, Watch } from '@kubernetes/client-node';
import type { Informer, ObjectCache, V1Pod } from '@kubernetes/client-node';
import assert from 'node:assert/strict';
import { get } from 'node:https';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { ApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import { call, configFor, podManifest, startLocalApi } from '../../helpers/local-api.ts';
import { waitFor } from '../../helpers/wait.ts';

const PODS = '/api/v1/namespaces/default/pods';

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the server sends
type WatchEvent = { type: string; object: any };

interface OpenWatch {
  readonly events: WatchEvent[];
  readonly isEnded: () => boolean;
  readonly close: () => void;
}

/** A watch on the bare connection, once it is open: what is sent, line by line. */
async function openWatch(
  t: TestContext,
  server: ApiServer,
  query: string,
  accept = 'application/json',
): Promise<OpenWatch> {
  const events: WatchEvent[] = [];
  let isEnded = false;
  let rest = '';
  const opened = Promise.withResolvers<void>();
  const token = configFor(server).getCurrentUser()?.token;
  const headers = { authorization: `Bearer ${token}`, accept };
  const request = get(
    `${server.url}${PODS}?watch=true&${query}`,
    { ca: server.caPem, headers, agent: false },
    (response) => {
      opened.resolve();
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) events.push(JSON.parse(line) as WatchEvent);
      });
      response.on('close', () => (isEnded = true));
      response.on('error', () => {});
    },
  );
  request.on('error', opened.reject);
  t.after(() => request.destroy());
  await opened.promise;
  return { events, isEnded: () => isEnded, close: () => request.destroy() };
}

const start = (t: TestContext) => startLocalApi((release) => t.after(release));
const said = ({ events }: OpenWatch) => events.map(({ type, object }) => `${type} ${object.metadata.name}`);

async function label(server: ApiServer, name: string, labels: Record<string, string>): Promise<void> {
  await server.api.modify('pods', 'default', name, (draft) => void (draft.metadata.labels = labels));
}

describe('watch', () => {
  test('without a version begins with what is there, then tells each change', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const watch = await openWatch(t, server, '');
    await waitFor(() => watch.events.length === 1, { what: 'the present' });
    await server.api.create('pods', podManifest('b'));
    await label(server, 'a', { x: 'y' });
    await server.api.delete('pods', 'default', 'a');
    await waitFor(() => watch.events.length === 4, { what: 'all events' });
    assert.deepEqual(said(watch), ['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED a']);
    const versions = watch.events.map(({ object }) => Number(object.metadata.resourceVersion));
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    );
  });

  test('from a version tells what happened since, and nothing of before', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const { resourceVersion } = (await call(server, PODS)).body.metadata;
    await server.api.create('pods', podManifest('b'));
    await server.api.delete('pods', 'default', 'a');
    const watch = await openWatch(t, server, `resourceVersion=${resourceVersion}`);
    await waitFor(() => watch.events.length === 2, { what: 'what happened since' });
    assert.deepEqual(said(watch), ['ADDED b', 'DELETED a']);
  });

  test('an object that begins or ceases to match is ADDED or DELETED', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const watch = await openWatch(t, server, 'labelSelector=on');
    await server.api.create('pods', podManifest('b', { metadata: { labels: { on: '' } } }));
    await label(server, 'a', { on: '1' });
    await label(server, 'a', { on: '2' });
    await label(server, 'a', {});
    await label(server, 'a', { off: '' });
    await server.api.delete('pods', 'default', 'b');
    await waitFor(() => said(watch).includes('DELETED b'), { what: 'the last event' });
    assert.deepEqual(said(watch), ['ADDED b', 'ADDED a', 'MODIFIED a', 'DELETED a', 'DELETED b']);
  });

  test('one object by field selector', async (t) => {
    const server = await start(t);
    const watch = await openWatch(t, server, 'fieldSelector=metadata.name%3Db');
    for (const name of ['a', 'b', 'c']) await server.api.create('pods', podManifest(name));
    await waitFor(() => watch.events.length > 0, { what: 'the one event' });
    assert.deepEqual(said(watch), ['ADDED b']);
  });

  test('a version that is too old is an ERROR event with 410, and the end', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const { resourceVersion } = (await call(server, PODS)).body.metadata;
    server.failures.expireWatches();
    const watch = await openWatch(t, server, `resourceVersion=${resourceVersion}`);
    await waitFor(watch.isEnded, { what: 'the end' });
    assert.deepEqual(
      watch.events.map(({ type, object }) => [type, object.code, object.reason]),
      [['ERROR', 410, 'Expired']],
    );
    const again = (await call(server, PODS)).body.metadata.resourceVersion;
    const next = await openWatch(t, server, `resourceVersion=${again}`);
    await server.api.create('pods', podManifest('b'));
    await waitFor(() => next.events.length === 1, { what: 'a watch from a new list' });
  });

  test('ends after timeoutSeconds, with a bookmark of the present version if asked', async (t) => {
    const server = await start(t);
    const { resourceVersion } = (await call(server, PODS)).body.metadata;
    await server.api.create('leases', {
      kind: 'Lease',
      metadata: { name: 'l', namespace: 'default' } as never,
    });
    const watch = await openWatch(
      t,
      server,
      `timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`,
    );
    await waitFor(watch.isEnded, { what: 'the end' });
    assert.deepEqual(
      watch.events.map(({ type }) => type),
      ['BOOKMARK'],
    );
    assert.ok(Number(watch.events[0]?.object.metadata.resourceVersion) > Number(resourceVersion));
  });

  test('sendInitialEvents marks where the present ends, as newer clients want it', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const query = 'sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan';
    const watch = await openWatch(t, server, query);
    await waitFor(() => watch.events.length === 2, { what: 'the present and its end' });
    assert.deepEqual(
      watch.events.map(({ type }) => type),
      ['ADDED', 'BOOKMARK'],
    );
    assert.equal(watch.events[1]?.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  });

  test('as tables, the columns told once', async (t) => {
    const server = await start(t);
    const watch = await openWatch(
      t,
      server,
      '',
      'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    );
    await server.api.create('pods', podManifest('a'));
    await label(server, 'a', { x: 'y' });
    await waitFor(() => watch.events.length === 2, { what: 'two tables' });
    const [first, second] = watch.events.map(({ object }) => object);
    assert.equal(first.columnDefinitions[0].name, 'Name');
    assert.deepEqual(first.rows[0].cells.slice(0, 3), ['a', '0/1', 'Pending']);
    assert.equal(second.columnDefinitions, null);
    assert.equal(second.rows[0].object.metadata.labels.x, 'y');
  });

  test('cutting ends watches without a last chunk; other requests go on', async (t) => {
    const server = await start(t);
    const watch = await openWatch(t, server, '');
    await server.api.create('pods', podManifest('a'));
    await waitFor(() => watch.events.length === 1, { what: 'an open watch' });
    server.failures.cutWatches();
    await waitFor(watch.isEnded, { what: 'the cut' });
    assert.equal((await call(server, PODS)).status, 200);
  });
});

describe('list', () => {
  test('in pages, the token of which names the rest', async (t) => {
    const server = await start(t);
    for (const name of ['a', 'b', 'c', 'd', 'e']) await server.api.create('pods', podManifest(name));
    const names: string[] = [];
    let token = '';
    let pages = 0;
    do {
      const { body } = await call(server, `${PODS}?limit=2&continue=${token}`);
      names.push(...body.items.map((item: { metadata: { name: string } }) => item.metadata.name));
      token = body.metadata.continue ?? '';
      pages += 1;
    } while (token !== '');
    assert.deepEqual([names, pages], [['a', 'b', 'c', 'd', 'e'], 3]);
  });

  test('a token that is too old is 410', async (t) => {
    const server = await start(t);
    for (const name of ['a', 'b']) await server.api.create('pods', podManifest(name));
    const token = (await call(server, `${PODS}?limit=1`)).body.metadata.continue;
    server.failures.expireWatches();
    const answer = await call(server, `${PODS}?limit=1&continue=${token}`);
    assert.deepEqual([answer.status, answer.body.reason], [410, 'Expired']);
    assert.equal((await call(server, `${PODS}?continue=rubbish`)).status, 400);
  });

  test('over all namespaces, by both selectors', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a', { metadata: { labels: { x: '1' } } }));
    await server.api.create(
      'pods',
      podManifest('b', { metadata: { namespace: 'kube-system', labels: { x: '2' } } }),
    );
    const { body } = await call(
      server,
      '/api/v1/pods?labelSelector=x&fieldSelector=metadata.namespace%3Dkube-system',
    );
    assert.deepEqual(
      body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
      ['b'],
    );
    assert.equal(body.kind, 'PodList');
    assert.equal((await call(server, '/api/v1/pods?labelSelector=a%3Db%3Dc')).status, 400);
    assert.equal((await call(server, '/api/v1/pods?fieldSelector=spec.image%3Dx')).status, 400);
  });

  test('events are the same under both groups, by their other names', async (t) => {
    const server = await start(t);
    const body = {
      metadata: { name: 'e', namespace: 'default' },
      regarding: { kind: 'Pod', name: 'a' },
      note: 'it slept',
      reason: 'Slept',
      type: 'Normal',
      eventTime: '2030-01-01T00:00:00.000000Z',
      reportingController: 'slimfaas.dev/scaler',
      reportingInstance: 'scaler-0',
      action: 'Scale',
    };
    const made = await call(server, '/apis/events.k8s.io/v1/namespaces/default/events', {
      method: 'POST',
      body,
    });
    assert.equal(made.status, 201, made.body.message);
    const core = (await call(server, '/api/v1/namespaces/default/events/e')).body;
    assert.deepEqual([core.message, core.involvedObject.name], ['it slept', 'a']);
    const list = await call(server, '/apis/events.k8s.io/v1/namespaces/default/events');
    assert.deepEqual([list.body.items[0].note, list.body.items[0].regarding.name], ['it slept', 'a']);
  });
});

describe("the client library's informer", () => {
  interface Running {
    readonly informer: Informer<V1Pod> & ObjectCache<V1Pod>;
    readonly heard: string[];
  }

  async function startInformer(t: TestContext, server: ApiServer): Promise<Running> {
    const config = configFor(server);
    const core = config.makeApiClient(CoreV1Api);
    const informer = makeInformer(config, PODS, () => core.listNamespacedPod({ namespace: 'default' }));
    const heard: string[] = [];
    for (const verb of ['add', 'update', 'delete'] as const) {
      informer.on(verb, (pod: V1Pod) => heard.push(`${verb} ${pod.metadata?.name}`));
    }
    let isStopped = false;
    // As every user of it must: it stops at an error.
    informer.on('error', () => {
      if (!isStopped) setTimeout(() => void informer.start(), 20).unref();
    });
    t.after(() => {
      isStopped = true;
      return informer.stop();
    });
    await informer.start();
    return { informer, heard };
  }

  test('hears what is added, changed and deleted', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const { informer, heard } = await startInformer(t, server);
    await waitFor(() => heard.includes('add a'), { what: 'the present' });
    await label(server, 'a', { x: 'y' });
    await waitFor(() => heard.includes('update a'), { what: 'the change' });
    assert.equal(informer.get('a', 'default')?.metadata?.labels?.x, 'y');
    await server.api.delete('pods', 'default', 'a');
    await waitFor(() => heard.includes('delete a'), { what: 'the deletion' });
  });

  test('misses nothing when its watch is cut', async (t) => {
    const server = await start(t);
    const { informer, heard } = await startInformer(t, server);
    await server.api.create('pods', podManifest('a'));
    await waitFor(() => heard.includes('add a'), { what: 'an open watch' });
    server.failures.cutWatches();
    await server.api.create('pods', podManifest('b'));
    await server.api.delete('pods', 'default', 'a');
    await waitFor(() => heard.includes('add b') && heard.includes('delete a'), { what: 'both changes' });
    assert.deepEqual(
      informer.list().map((pod) => pod.metadata?.name),
      ['b'],
    );
  });

  test('lists again after 410 Gone', async (t) => {
    const server = await start(t);
    const { heard } = await startInformer(t, server);
    await server.api.create('pods', podManifest('a'));
    await waitFor(() => heard.includes('add a'), { what: 'an open watch' });
    await server.api.create('pods', podManifest('b'));
    server.failures.expireWatches();
    server.failures.cutWatches();
    await server.api.delete('pods', 'default', 'a');
    await waitFor(() => heard.includes('delete a') && heard.includes('add b'), { what: 'a new list' });
    await server.api.create('pods', podManifest('c'));
    await waitFor(() => heard.includes('add c'), { what: 'a new watch' });
  });

  test('comes back when the API server was away', async (t) => {
    const server = await start(t);
    const { heard } = await startInformer(t, server);
    await server.api.create('pods', podManifest('a'));
    await waitFor(() => heard.includes('add a'), { what: 'an open watch' });
    server.failures.setAway(true);
    await assert.rejects(call(server, PODS), /ECONNRESET|socket hang up/);
    await server.api.create('pods', podManifest('b'));
    server.failures.setAway(false);
    await waitFor(() => heard.includes('add b'), { what: 'what happened meanwhile' });
  });

  test('a Watch may ask for bookmarks and be aborted', async (t) => {
    const server = await start(t);
    await server.api.create('pods', podManifest('a'));
    const types: string[] = [];
    const watch = new Watch(configFor(server));
    const done = Promise.withResolvers<void>();
    const params = {
      allowWatchBookmarks: true,
      sendInitialEvents: true,
      resourceVersionMatch: 'NotOlderThan',
    };
    const controller = await watch.watch(
      PODS,
      params,
      (type) => types.push(type),
      () => done.resolve(),
    );
    await waitFor(() => types.length === 2, { what: 'the present' });
    controller.abort();
    await done.promise;
    assert.deepEqual(types, ['ADDED', 'BOOKMARK']);
  });
});

describe('in this process', () => {
  test('a watch begins with the present, synchronously, and ends when released', async (t) => {
    const { api } = await start(t);
    await api.create('pods', podManifest('a'));
    const heard: string[] = [];
    const release = api.watch('pods', (type, { metadata }) => heard.push(`${type} ${metadata.name}`));
    assert.deepEqual(heard, ['ADDED a']);
    await api.create('pods', podManifest('b'));
    release();
    await api.delete('pods', 'default', 'b');
    assert.deepEqual(heard, ['ADDED a', 'ADDED b']);
  });

  test('a listener that throws harms nobody', async (t) => {
    const { api } = await start(t);
    const heard: string[] = [];
    api.watch('pods', () => {
      throw new Error('a bug in a room');
    });
    api.watch('pods', (type) => heard.push(type));
    await api.create('pods', podManifest('a'));
    assert.deepEqual(heard, ['ADDED']);
  });

  test('modify does nothing on false, resolves to undefined when gone, and survives races', async (t) => {
    const { api } = await start(t);
    const pod = await api.create('pods', podManifest('a'));
    assert.equal(
      (await api.modify('pods', 'default', 'a', () => false))?.metadata.resourceVersion,
      pod.metadata.resourceVersion,
    );
    assert.equal(await api.modify('pods', 'default', 'ghost', () => {}), undefined);
    const increment = () =>
      api.modify('pods', 'default', 'a', (draft) => {
        const count = Number(draft.metadata.labels?.count ?? 0) + 1;
        draft.metadata.labels = { count: String(count) };
      });
    await Promise.all(Array.from({ length: 20 }, increment));
    assert.equal(api.get('pods', 'default', 'a')?.metadata.labels?.count, '20');
  });

  test('update refuses what is stale, delete what has another uid', async (t) => {
    const { api } = await start(t);
    const pod = await api.create('pods', podManifest('a'));
    await api.modify('pods', 'default', 'a', (draft) => void (draft.metadata.labels = { x: 'y' }));
    await assert.rejects(api.update('pods', pod), { code: 409, reason: 'Conflict' });
    await assert.rejects(api.delete('pods', 'default', 'a', { uid: 'x' }), { code: 409 });
    await assert.rejects(api.delete('pods', 'default', 'ghost'), { code: 404, reason: 'NotFound' });
  });
});
