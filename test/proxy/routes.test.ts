import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FunctionStatus } from '../../proxy/status/function-status.ts';
import { waitFor } from '../helpers/wait.ts';
import { callUrl, rawCall, startCall } from './support/calls.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { collectWakes, statusOf } from './support/wakes.ts';

test('an unknown function is 404 unknown-function on every route that names one', async () => {
  await using t = await startTestProxy();
  for (const path of ['/function/nope/x', '/function/nope', '/wake-function/nope', '/status-function/nope']) {
    const answer = await callUrl(`${t.url}${path}`);
    assert.equal(answer.status, 404, path);
    assert.equal(answer.headers['slimfaas-reason'], 'unknown-function', path);
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/, path);
    assert.deepEqual(Object.keys(JSON.parse(answer.text) as object), ['error', 'message'], path);
  }
  const noRoute = await callUrl(`${t.url}/no-such-route`);
  assert.equal(noRoute.status, 404);
  assert.equal(noRoute.headers['slimfaas-reason'], 'unknown-route');
  assert.match(noRoute.text, /no route .*no-such-route/);
  assert.equal((await callUrl(`${t.url}/function/`)).status, 404);
  assert.equal((await callUrl(`${t.url}/function/%zz/`)).status, 404);
});

test('a bare name that only another namespace has: the message says how to call it, if the caller may see it', async () => {
  await using t = await startTestProxy();
  t.addFunction('cart', {}, { namespace: 'shop' });
  t.addFunction('vault', { 'SlimFaas/DefaultVisibility': 'Private' }, { namespace: 'shop' });
  const cart = async () => (await callUrl(`${t.url}/function/cart/`)).text;
  await waitFor(async () => /another namespace has one; call it as cart\.shop"/.test(await cart()), {
    what: 'the hint',
  });
  assert.doesNotMatch((await callUrl(`${t.url}/function/vault/`)).text, /shop/);
});

test('another method than the route has: 405 with its reason, and which there are', async () => {
  await using t = await startTestProxy();
  const answer = await callUrl(`${t.url}/wake-functions`);
  assert.equal(answer.status, 405);
  assert.equal(answer.headers['slimfaas-reason'], 'method-not-allowed');
  assert.equal(answer.headers['allow'], 'POST');
  assert.match(answer.text, /GET is not for \\"\/wake-functions\\"; use POST/);
});

test('a private function answers a caller from outside as if it did not exist, on every route alike', async () => {
  await using t = await startTestProxy();
  t.addFunction('secret', { 'SlimFaas/DefaultVisibility': 'Private' });
  t.addFunction('half', { 'SlimFaas/PathsStartWithVisibility': 'Private:/admin' });
  await t.addPod('half');
  await t.readyPods('half', 1);
  const unknown = await callUrl(`${t.url}/function/nope/`);
  for (const path of ['/function/secret/x', '/wake-function/secret', '/status-function/secret']) {
    const answer = await callUrl(`${t.url}${path}`);
    assert.equal(answer.status, 404, path);
    assert.equal(answer.text.replaceAll('secret', 'nope'), unknown.text, path);
  }
  const list = JSON.parse((await callUrl(`${t.url}/status-functions`)).text) as { Name: string }[];
  assert.deepEqual(
    list.map((fn) => fn.Name),
    ['half'],
  );
  assert.equal((await callUrl(`${t.url}/function/half/public`)).status, 200);
  for (const path of [
    '/admin',
    '/%61dmin/x',
    '//admin',
    '/x/../admin',
    '/x/%2e%2e/admin',
    '/x/..%2Fadmin',
    '/ADMIN',
  ])
    assert.match(
      await rawCall(t.port, `GET /function/half${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`),
      /^HTTP\/1.1 404/,
      path,
    );
});

test('a caller inside reaches private functions; an outside address in X-Forwarded-For takes that away', async () => {
  await using t = await startTestProxy();
  t.addFunction('secret', { 'SlimFaas/DefaultVisibility': 'Private' });
  await t.addPod('secret');
  // The test's own address belongs to a pod of no function; another pod's function is Untrusted.
  t.kube.set({
    kind: 'Pod',
    metadata: { name: 'caller', namespace: 'default' },
    status: { phase: 'Running', podIP: '127.0.0.1' },
  });
  await waitFor(async () => (await callUrl(`${t.url}/function/secret/`)).status === 200, { what: 'inside' });
  const spoofed = await callUrl(`${t.url}/function/secret/`, {
    headers: { 'X-Forwarded-For': '127.0.0.1, 8.8.8.8' },
  });
  assert.equal(spoofed.status, 404);
  const metrics = async (headers: Record<string, string>): Promise<string> =>
    (await callUrl(`${t.url}/metrics`, { headers })).text;
  const its = /^slimfaas_proxy_requests_total\{namespace="default",function="secret",code="2xx"\} \d+$/m;
  assert.match(await metrics({}), its);
  const outside = await metrics({ 'X-Forwarded-For': '8.8.8.8' });
  assert.doesNotMatch(outside, /secret/);
  assert.match(outside, /^slimfaas_proxy_client_connections \d+$/m, 'all else is there');
  const inside = await callUrl(`${t.url}/function/secret/`, { headers: { 'X-Forwarded-For': '127.0.0.1' } });
  assert.equal(inside.status, 200);
  t.kube.set({
    kind: 'Pod',
    metadata: {
      name: 'stranger',
      namespace: 'default',
      annotations: { 'SlimFaas/Function': 'true', 'SlimFaas/DefaultTrust': 'Untrusted' },
    },
    status: { phase: 'Running', podIP: '127.0.0.1' },
  });
  await waitFor(async () => (await callUrl(`${t.url}/function/secret/`)).status === 404, {
    what: 'untrusted',
  });
});

test('status routes list functions by SlimFaas’s names, with namespace, waiting, pods and faults', async () => {
  await using t = await startTestProxy();
  t.addFunction('b', { 'SlimFaas/ReplicasMin': 'many' }, { replicas: 2 });
  t.addFunction('a', {}, { kind: 'StatefulSet', namespace: 'shop' });
  await t.addPod('b', { name: 'b-1' });
  await t.readyPods('b', 1);
  const list = JSON.parse((await callUrl(`${t.url}/status-functions`)).text) as Record<string, unknown>[];
  assert.equal(list.length, 2);
  const { Faults, ...b } = list[0] as { Faults: { annotation: string }[] };
  assert.deepEqual(b, {
    Name: 'b',
    Namespace: 'default',
    NumberReady: 1,
    NumberRequested: 2,
    PodType: 'Deployment',
    Visibility: 'Public',
    Waiting: 0,
    Running: 0,
    Pods: [{ Name: 'b-1', State: 'ready' }],
  });
  assert.deepEqual(
    Faults.map((fault) => fault.annotation),
    ['SlimFaas/ReplicasMin'],
  );
  assert.equal(list[1]?.['PodType'], 'StatefulSet');
  const one = JSON.parse((await callUrl(`${t.url}/status-function/a.shop`)).text) as { Name: string }[];
  assert.deepEqual(
    one.map((fn) => fn.Name),
    ['a'],
  );
});

test('a pod that fails is no pod that starts, and the function says what nobody is served for', async () => {
  await using t = await startTestProxy();
  t.addFunction('bad', {}, { replicas: 1 });
  await t.addPod('bad', {
    name: 'bad-1',
    isReady: false,
    status: {
      containerStatuses: [
        {
          name: 'app',
          ready: false,
          restartCount: 0,
          image: 'shop:1',
          state: { waiting: { reason: 'ErrImagePull', message: 'no such tag' } },
        },
      ],
    },
  });
  const read = async () =>
    (JSON.parse((await callUrl(`${t.url}/status-function/bad`)).text) as FunctionStatus[])[0];
  const status = await waitFor(
    async () => {
      const now = await read();
      return now?.Pods[0]?.State === 'failing' ? now : undefined;
    },
    { what: 'it shows as failing' },
  );
  const text = 'pod bad-1, container app: image pull failed (ErrImagePull): no such tag';
  assert.equal(status.Pods[0]?.Trouble, text);
  assert.deepEqual(
    status.Faults.map(({ annotation, problem }) => [annotation, problem]),
    [['pods', text]],
  );
});

test('callers of a paused function at zero are told so at once: nothing will wake it', async () => {
  await using t = await startTestProxy();
  t.addFunction('paused', { 'slimfaas.dev/paused': 'true' });
  await waitFor(async () => (await callUrl(`${t.url}/status-function/paused`)).status === 200, {
    what: 'known',
  });
  const answer = await callUrl(`${t.url}/function/paused/`);
  assert.equal(answer.status, 504);
  assert.match(answer.text, /slimfaas\.dev\/paused keeps it there/);
});

test('the status stream sends the list at once and again when something changes', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await waitFor(async () => (await callUrl(`${t.url}/status-function/fib`)).status === 200, {
    what: 'it is known',
  });
  const response = await fetch(`${t.url}/status-functions-stream`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const events = readEvents(response);
  const first = await events.next();
  assert.equal(first.value?.[0]?.NumberReady, 0);
  await t.addPod('fib');
  const second = await events.next();
  assert.equal(second.value?.[0]?.NumberReady, 1);
  await events.return(undefined);
});

test('wake-function and wake-functions ask for what the caller may see, and answer 204', async () => {
  await using t = await startTestProxy();
  t.addFunction('a');
  t.addFunction('b');
  t.addFunction('secret', { 'SlimFaas/DefaultVisibility': 'Private' });
  const [a, b, secret] = ['a', 'b', 'secret'].map((fn) => collectWakes(t, fn));
  await waitFor(async () => (await callUrl(`${t.url}/status-function/b`)).status === 200, { what: 'known' });
  await t.link.connection?.flush();
  assert.equal((await callUrl(`${t.url}/wake-function/a`)).status, 204);
  assert.equal((await callUrl(`${t.url}/wake-function/a`, { method: 'POST' })).status, 204);
  assert.equal((await callUrl(`${t.url}/wake-functions`, { method: 'POST' })).status, 204);
  await waitFor(() => a?.length === 3 && b?.length === 1, { what: 'a three times, b once' });
  assert.deepEqual([...new Set(a?.map(({ waiting }) => waiting))], [0], 'who wakes waits for nothing');
  assert.deepEqual(secret, []);
  assert.equal((await callUrl(`${t.url}/wake-functions`)).status, 405);
});

test('a name with dots is found in the own namespace first, else split at its last dot', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib.v2');
  t.addFunction('fib', {}, { namespace: 'shop' });
  await t.addPod('fib.v2', { run: (_req, res) => res.end('own') });
  await t.addPod('fib', { namespace: 'shop', run: (_req, res) => res.end('shop') });
  await t.readyPods('fib.v2', 1);
  await t.readyPods('fib.shop', 1);
  assert.equal((await callUrl(`${t.url}/function/fib.v2/`)).text, 'own');
  assert.equal((await callUrl(`${t.url}/function/fib%2Ev2/`)).text, 'own');
  assert.equal((await callUrl(`${t.url}/function/fib.v2.default/`)).text, 'own');
  assert.equal((await callUrl(`${t.url}/function/fib.shop/`)).text, 'shop');
  assert.equal((await callUrl(`${t.url}/function/fib/`)).status, 404);
});

test('only the namespaces that it is given are served', async () => {
  await using t = await startTestProxy(['--namespaces=default,shop']);
  t.addFunction('a');
  t.addFunction('b', {}, { namespace: 'shop' });
  t.addFunction('c', {}, { namespace: 'elsewhere' });
  const status = async (name: string) => (await callUrl(`${t.url}/status-function/${name}`)).status;
  await waitFor(async () => (await status('a')) === 200 && (await status('b.shop')) === 200, {
    what: 'known',
  });
  assert.equal(await status('c.elsewhere'), 404);
});

test('an annotated pod that nobody owns is a function of its own name', async () => {
  await using t = await startTestProxy();
  const annotations = { 'SlimFaas/Function': 'true' };
  await t.addPod('lonely', { name: 'lonely', kind: 'none', annotations });
  await t.readyPods('lonely', 1);
  assert.equal((await callUrl(`${t.url}/function/lonely/`)).status, 200);
  assert.equal(
    (JSON.parse((await callUrl(`${t.url}/status-function/lonely`)).text) as { PodType: string }[])[0]
      ?.PodType,
    'Pod',
  );
  t.kube.delete('Pod', 'default', 'lonely');
  await waitFor(async () => (await callUrl(`${t.url}/function/lonely/`)).status === 404, {
    what: 'it went with its pod',
  });
});

test('a function that is deleted while calls wait for it answers them 404', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const call = callUrl(`${t.url}/function/fib/`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  t.kube.delete('Deployment', 'default', 'fib');
  assert.equal((await call).status, 404);
});

test('health, readiness and metrics are on both ports; functions only on the main one', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  assert.equal((await callUrl(`${t.url}/function/fib/`)).status, 200);
  for (const base of [t.url, t.metricsUrl]) {
    assert.equal((await callUrl(`${base}/health`)).status, 200);
    assert.deepEqual(JSON.parse((await callUrl(`${base}/ready`)).text), { ready: true, missing: [] });
    const { text } = await callUrl(`${base}/metrics`);
    assert.match(text, /slimfaas_proxy_requests_total\{namespace="default",function="fib",code="2xx"\} 1\n/);
    assert.match(
      text,
      /slimfaas_proxy_request_duration_seconds_count\{namespace="default",function="fib"\} 1\n/,
    );
    assert.match(text, /slimfaas_proxy_wait_seconds_count\{namespace="default",function="fib"\} 1\n/);
    assert.match(text, /slimfaas_proxy_client_connections \d+\n/);
    assert.match(text, /slimfaas_build_info\{part="proxy"/);
  }
  assert.equal((await callUrl(`${t.metricsUrl}/function/fib/`)).status, 404);
});

test('a cold start is counted as one, a warm call is not', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const cold = callUrl(`${t.url}/function/fib/`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  await t.addPod('fib');
  await cold;
  await callUrl(`${t.url}/function/fib/`);
  const { text } = await callUrl(`${t.url}/metrics`);
  assert.match(text, /slimfaas_proxy_cold_starts_total\{namespace="default",function="fib"\} 1\n/);
  assert.match(text, /slimfaas_proxy_cold_start_seconds_count\{namespace="default",function="fib"\} 1\n/);
});

test('the status page and its files are served, and may run nothing from elsewhere', async () => {
  await using t = await startTestProxy();
  const page = await callUrl(`${t.url}/`);
  assert.equal(page.status, 200);
  assert.match(page.text, /<html lang="en">/);
  assert.match(String(page.headers['content-security-policy']), /default-src 'self'/);
  for (const file of ['status.js', 'status.css']) {
    assert.ok(page.text.includes(`status-page/${file}`));
    assert.equal((await callUrl(`${t.url}/status-page/${file}`)).status, 200);
  }
  assert.equal((await callUrl(`${t.url}/status-page/..%2Findex.html`)).status, 404);
});

test('what is malformed is refused with 400 and a closed connection, on every route', async () => {
  await using t = await startTestProxy();
  for (const target of ['/function/fib/', '/status-functions']) {
    const both = `POST ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx`;
    const answer = await rawCall(t.port, both);
    assert.match(answer, /^HTTP\/1.1 400 /, target);
    assert.match(answer, /connection: close/i, target);
  }
  assert.match(
    await rawCall(t.port, 'GET http://other/status-functions HTTP/1.1\r\nHost: h\r\n\r\n'),
    /^HTTP\/1.1 400 /,
  );
  const long = `GET /function/fib/ HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`;
  assert.match(await rawCall(t.port, long), /^HTTP\/1.1 431 /);
});

test('a client that stops sending its body is cut, one whose function is slow is not', async () => {
  await using t = await startTestProxy(['--body-idle-timeout=1']);
  t.addFunction('fib');
  const pod = await t.addPod('fib', {
    run(req, res) {
      if (req.url === '/slow') return void setTimeout(() => res.end('slow'), 2_500);
      req.resume().on('end', () => res.end());
    },
  });
  await t.readyPods('fib', 1);
  const slow = callUrl(`${t.url}/function/fib/slow`, { body: 'all of it' });
  const stuck = startCall(`${t.url}/function/fib/stuck`, {
    method: 'POST',
    headers: { 'Content-Length': '10', Expect: '100-continue' },
  });
  const cut = new Promise((resolve) => stuck.once('close', resolve));
  await waitFor(() => pod.seen.includes('/stuck'), { what: 'the upload has begun' });
  await cut;
  assert.equal((await slow).text, 'slow');
  await waitFor(() => pod.running === 0, { what: 'the place is free again' });
  assert.match((await callUrl(`${t.url}/metrics`)).text, /slimfaas_proxy_slow_clients_total 1\n/);
});

async function* readEvents(response: Response): AsyncGenerator<{ NumberReady: number }[], void, undefined> {
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      if (event.startsWith('data: ')) yield JSON.parse(event.slice(6)) as { NumberReady: number }[];
    }
  }
}

test('what is refused at the door is counted by limit', async () => {
  await using t = await startTestProxy(['--max-headers=16']);
  const many = 'X: x\r\n'.repeat(16);
  assert.match(await rawCall(t.port, `GET /health HTTP/1.1\r\nHost: h\r\n${many}\r\n`), /^HTTP\/1.1 431 /);
  assert.match(
    await rawCall(t.port, 'GET /function/f/ HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n'),
    /^HTTP\/1.1 400 /,
  );
  const metrics = await (await fetch(`${t.url}/metrics`)).text();
  for (const limit of ['headers', 'malformed'])
    assert.match(metrics, new RegExp(`^slimfaas_proxy_limited_total\\{.*limit="${limit}".*\\} 1$`, 'm'));
});
