/** How parts speak to the API server: who they say they are, on how many connections, and how a watch lives. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { BookmarkWatch } from '../../../common/kube/bookmark-watch.ts';
import { PartConfig } from '../../../common/kube/part-config.ts';
import { watchResource } from '../../../common/kube/watched.ts';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { waitFor } from '../../helpers/wait.ts';

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function configFor(server: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 'c', server, skipTLSVerify: true }, { name: 'u' });
  return config;
}

/** What comes of one watch. */
function follow(watch: BookmarkWatch, query = {}) {
  const events: string[] = [];
  const ends: { name?: string; statusCode?: number; message: string }[] = [];
  const opened = watch.watch(
    '/api/v1/pods',
    query,
    (phase) => void events.push(phase),
    (error) => void ends.push(error as (typeof ends)[number]),
  );
  return { events, ends, opened };
}

test('a watch asks for bookmarks and for minutes, says who it is, and is opened again at once when its time is over', async (t) => {
  const requests: IncomingMessage[] = [];
  const server = await serve(t, (req, res) => {
    requests.push(req);
    res.writeHead(200);
    res.write('{"type":"ADDED","object":{}}\n{"type":"BOOKMARK","object":{}}\n{"type":"ADD');
    // A stream that ends within a second of its answer is a broken one; a busy machine sees the answer late.
    setTimeout(() => res.end(), 3_000);
  });
  const { events, ends } = follow(new BookmarkWatch(configFor(server), 'slimfaas-test/1'), {
    resourceVersion: '7',
  });
  await waitFor(() => ends.length === 1, { what: 'ended by the server' });
  assert.deepEqual(events, ['ADDED', 'BOOKMARK']);
  assert.equal(ends[0]?.name, 'TimeoutError', 'which the list-watch goes on from without a pause');
  const [request] = requests;
  const query = new URL(request?.url ?? '', server).searchParams;
  assert.equal(query.get('allowWatchBookmarks'), 'true');
  assert.equal(query.get('resourceVersion'), '7');
  const seconds = Number(query.get('timeoutSeconds'));
  assert.ok(seconds >= 300 && seconds < 600, `${seconds}`);
  assert.equal(request?.headers['user-agent'], 'slimfaas-test/1');
});

test('an API server that takes connections and says nothing costs a watch its answer time, not the whole silence', async (t) => {
  const server = await serve(t, () => undefined);
  const times = { connectMs: 5_000, answerMs: 50, silenceMs: 3_600_000 };
  const { ends } = follow(new BookmarkWatch(configFor(server), 'x', times));
  await waitFor(() => ends.length === 1, { what: 'given up' });
  assert.match(ends[0]?.message ?? '', /no answer in 50 ms/);
});

test('an API server whose connections never come to be costs a watch its connect time', async (t) => {
  const silent = createTcpServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const server = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const times = { connectMs: 50, answerMs: 3_600_000, silenceMs: 3_600_000 };
  const { ends } = follow(new BookmarkWatch(configFor(server), 'x', times));
  await waitFor(() => ends.length === 1, { what: 'given up' });
  assert.match(ends[0]?.message ?? '', /no connection in 50 ms/);
});

test('a watch that is refused after its list is not in step, and is tried again more and more seldom', async (t) => {
  const server = await serve(t, (req, res) => {
    if (req.url?.includes('watch=true')) return void res.writeHead(500).end();
    res.writeHead(200, { 'Content-Type': 'application/json' });
    res.end(
      JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: '1' }, items: [] }),
    );
  });
  const config = configFor(server);
  const core = config.makeApiClient(CoreV1Api);
  const { log, lines } = recordingLog();
  const synced: boolean[] = [];
  const watched = watchResource(
    config,
    (page) => core.listPodForAllNamespaces(page),
    { onSet: () => undefined, onDelete: () => undefined, onSynced: (isSynced) => void synced.push(isSynced) },
    { path: '/api/v1/pods', log },
  );
  t.after(() => watched.stop());
  const delays = (): number[] => lines.map(({ fields }) => Number(fields['delayMs']));
  // The delays double, less up to half of each by chance: the fifth is at least 800 ms.
  await waitFor(() => delays().some((delayMs) => delayMs >= 800), { what: 'a longer pause' });
  assert.deepEqual(synced, []);
  assert.equal(watched.isSynced, false);
});

test('a watch that falls silent for longer than bookmarks take is opened again', async (t) => {
  const server = await serve(t, (_req, res) => {
    res.writeHead(200);
    res.write('{"type":"BOOKMARK","object":{}}\n');
  });
  const { ends } = follow(
    new BookmarkWatch(configFor(server), 'x', { connectMs: 5_000, answerMs: 5_000, silenceMs: 100 }),
  );
  await waitFor(() => ends.length === 1, { what: 'given up' });
  assert.equal(ends[0]?.name, 'TimeoutError');
});

test('what is refused or ends at once is an error, so that it is tried again with a pause', async (t) => {
  const answers: RequestListener[] = [
    (_req, res) => res.writeHead(410).end(),
    (_req, res) => res.writeHead(200).end(),
  ];
  const server = await serve(t, (req, res) => answers.shift()?.(req, res));
  const watch = new BookmarkWatch(configFor(server), 'x');
  const gone = follow(watch);
  await waitFor(() => gone.ends.length === 1, { what: 'refused' });
  assert.equal(gone.ends[0]?.statusCode, 410);
  const short = follow(watch);
  await waitFor(() => short.ends.length === 1, { what: 'ended' });
  assert.match(short.ends[0]?.message ?? '', /ended at once/);
});

test('stopping a watch ends it once', async (t) => {
  const server = await serve(t, (_req, res) => res.writeHead(200).write('\n'));
  const { ends, opened } = follow(new BookmarkWatch(configFor(server), 'x'));
  (await opened).abort();
  await waitFor(() => ends.length === 1, { what: 'ended' });
});

test('requests of a part share connections and carry its name', async (t) => {
  const validity = { nowMs: Date.now(), validMs: 86_400_000 };
  const authority = await createAuthority(validity);
  const pair = await issueCertificate(authority, ['localhost'], validity);
  const agents = new Set<string | undefined>();
  const server = createTlsServer({ cert: pair.certificate, key: pair.key }, (req, res) => {
    agents.add(req.headers['user-agent']);
    res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"kind":"PodList","items":[]}');
  });
  let connections = 0;
  server.on('secureConnection', () => connections++);
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const config = new PartConfig('slimfaas-test/1');
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  const caData = Buffer.from(authority.certificate).toString('base64');
  config.loadFromClusterAndUser({ name: 'c', server: url, caData, skipTLSVerify: false }, { name: 'u' });
  const core = config.makeApiClient(CoreV1Api);
  for (let i = 0; i < 5; i++) await core.listNamespacedPod({ namespace: 'default' });
  // A second one where the first is not free yet; never one for each.
  assert.ok(connections <= 2, `${connections} connections for 5 requests`);
  assert.deepEqual([...agents], ['slimfaas-test/1']);
});

function partConfigFor(server: string, requestMs: number): PartConfig {
  const config = new PartConfig('slimfaas-test/1', requestMs);
  config.loadFromClusterAndUser({ name: 'c', server, skipTLSVerify: true }, { name: 'u' });
  return config;
}

const POD = { name: 'p', namespace: 'default' };

test('an API server that never answers, or stops in mid-answer, costs a request its time and no more', async (t) => {
  const server = await serve(t, (req, res) => {
    if (req.method === 'GET') res.writeHead(200, { 'Content-Type': 'application/json' }).write('{"kind":');
  });
  const core = partConfigFor(server, 50).makeApiClient(CoreV1Api);
  const asked = [
    core.listNamespacedPod({ namespace: 'default' }),
    core.readNamespacedPod(POD),
    core.patchNamespacedPod({ ...POD, body: [] }),
    core.createNamespacedEvent({ namespace: 'default', body: { metadata: {}, involvedObject: {} } }),
  ];
  for (const request of asked) await assert.rejects(request, { name: 'TimeoutError' });
});

test('a list that is never answered is asked for again', async (t) => {
  let lists = 0;
  const server = await serve(t, (req, res) => {
    if (req.url?.includes('watch=true')) return void res.writeHead(200).write('\n');
    if (++lists === 1) return;
    const list = { kind: 'PodList', metadata: { resourceVersion: '1' }, items: [{ metadata: POD }] };
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(list));
  });
  const config = partConfigFor(server, 50);
  const core = config.makeApiClient(CoreV1Api);
  const seen: (string | undefined)[] = [];
  const watched = watchResource(
    config,
    (page) => core.listPodForAllNamespaces(page),
    { onSet: ({ metadata }) => void seen.push(metadata?.name), onDelete: () => undefined },
    { path: '/api/v1/pods', log: recordingLog().log },
  );
  t.after(() => watched.stop());
  await waitFor(() => watched.isSynced, { what: 'synced' });
  assert.deepEqual([seen, lists], [['p'], 2]);
});

test('the service account token is replaced: requests go on with the next one', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'token-'));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, 'token');
  const put = async (token: string): Promise<void> => {
    await writeFile(`${file}.next`, token);
    await rename(`${file}.next`, file);
  };
  await put('first');
  const shown: (string | undefined)[] = [];
  const server = await serve(t, (req, res) => {
    shown.push(req.headers.authorization);
    res.setHeader('Content-Type', 'application/json').end('{"kind": "PodList", "items": []}');
  });
  const config = new PartConfig('slimfaas-test/1');
  // As it is in a pod.
  const authProvider = { name: 'tokenFile', config: { tokenFile: file } };
  config.loadFromClusterAndUser({ name: 'c', server, skipTLSVerify: true }, { name: 'u', authProvider });
  const core = config.makeApiClient(CoreV1Api);
  const list = () => Promise.all(Array.from({ length: 5 }, () => core.listNamespacedPod({ namespace: 'a' })));
  await list();
  await put('second');
  await list();
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 });
  await list();
  assert.deepEqual([...new Set(shown)], ['Bearer first', 'Bearer second']);
  assert.deepEqual(new Set(shown.slice(-5)), new Set(['Bearer second']));
});
