/** `/async-function`: what an accepted job is, and what is not accepted. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { BODIES_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { sleep } from '../../../common/runtime/lifecycle.ts';
import { waitFor } from '../../helpers/wait.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { callUrl, rawCall } from '../support/calls.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';
import { collectWakes } from '../support/wakes.ts';

test('201 with an unguessable id and the place of the job; the function at zero is woken', async () => {
  await using t = await startJobProxy();
  await t.addFunction('fib');
  const wakes = collectWakes(t.proxy, 'fib');
  const answer = await t.post('fib', '/path?q', { body: 'x' });
  assert.equal(answer.status, 201);
  assert.equal(answer.text, '');
  const id = elementIdOf(answer);
  assert.match(id, /^[0-9a-f]{32}1$/);
  assert.equal(answer.headers['location'], `/async-function-job/fib/${id}`);
  await waitFor(() => wakes.length > 0, { what: 'a wake' });
  // The scaler counts the job in its queue; as a caller too, it would be two, and get two pods.
  assert.equal(wakes[0]?.waiting, 0);
  const [first, second] = await Promise.all([t.post('fib', '/'), t.post('fib', '/')]);
  assert.notEqual(elementIdOf(first).slice(0, 32), elementIdOf(second).slice(0, 32));
});

test('--async-status 202 for clients of later SlimFaas versions', async () => {
  await using t = await startJobProxy(['--async-status=202']);
  await t.addFunction('fib');
  assert.equal((await t.post('fib', '/')).status, 202);
});

test('behaviour 31: any method, odd headers, duplicates, binary body: byte-equal at the function', async () => {
  await using t = await startJobProxy();
  await using app = await new Recorder((_req, res) => res.end()).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port);
  const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1');
  const odd = 'X-B: one\r\nx-B: two\r\nX-Latin: caf\u00e9\r\nX-Empty:\r\nCookie: a=1\r\nCookie: b=2\r\n';
  for (const method of ['GET', 'HEAD', 'DELETE', 'POST', 'PUT', 'OPTIONS']) {
    const sent = method === 'POST' || method === 'PUT' ? body : '';
    const length = sent ? `Content-Length: ${sent.length}\r\n` : '';
    const head = `${method} /async-function/fib/${method}//..;x?a=%zz&b HTTP/1.1\r\nHost: odd.example\r\n`;
    const raw = await rawCall(t.proxy.port, `${head}${odd}${length}Connection: close\r\n\r\n${sent}`);
    assert.match(raw, /^HTTP\/1.1 201 /, `${method}: ${raw}`);
    const got = await waitFor(() => app.requests.find(({ line }) => line.startsWith(`${method} `)), {
      what: `${method} arrives`,
    });
    assert.equal(got.line, `${method} /${method}//..;x?a=%zz&b`);
    const expected = ['Host', 'odd.example', 'X-B', 'one', 'x-B', 'two', 'X-Latin', 'caf\u00e9'];
    expected.push('X-Empty', '', 'Cookie', 'a=1', 'Cookie', 'b=2');
    assert.deepEqual(got.headers.slice(0, expected.length), expected);
    assert.equal(got.body.toString('latin1'), sent);
    assert.equal(got.header('x-forwarded-for'), '127.0.0.1');
  }
});

test('behaviour 30: the same Idempotency-Key twice: one job, the same id, before and after it is done', async () => {
  await using t = await startJobProxy();
  await using app = await new Recorder((_req, res) => res.end()).listen();
  await t.addFunction('fib');
  await t.addFunction('other');
  const headers = { 'Idempotency-Key': 'order-7' };
  const first = elementIdOf(await t.post('fib', '/', { headers, body: 'one' }));
  assert.equal(elementIdOf(await t.post('fib', '/', { headers, body: 'one' })), first);
  assert.equal(await t.depth(), 1);
  assert.notEqual(elementIdOf(await t.post('other', '/', { headers })), first, 'a key is of one function');
  await t.sidecar('fib', app.port);
  await t.ended('fib', first);
  assert.equal(elementIdOf(await t.post('fib', '/', { headers, body: 'one' })), first);
  assert.equal(app.requests.length, 1);
});

test('a large body with a known Idempotency-Key is not kept twice', async () => {
  await using t = await startJobProxy();
  await t.addFunction('fib');
  const options = { headers: { 'Idempotency-Key': 'k' }, body: Buffer.alloc(1_000_000) };
  const first = elementIdOf(await t.post('fib', '/', options));
  const { messages } = (await t.jsm.streams.info(BODIES_STREAM)).state;
  assert.equal(elementIdOf(await t.post('fib', '/', options)), first);
  assert.equal((await t.jsm.streams.info(BODIES_STREAM)).state.messages, messages);
});

test('behaviour 32: 50 MB, chunked: arrives equal, and is gone from the store after', async () => {
  await using t = await startJobProxy();
  await using app = await new Recorder((_req, res) => res.end(), { keepBodies: false }).listen();
  await t.addFunction('fib');
  const chunk = Buffer.alloc(500_000, 'chunk of a body');
  const upload = request(`${t.proxy.url}/async-function/fib/up`, { method: 'PUT' });
  for (let i = 0; i < 100; i++) if (!upload.write(chunk)) await once(upload, 'drain');
  upload.end();
  const [response] = (await once(upload, 'response')) as [import('node:http').IncomingMessage];
  response.resume();
  assert.equal(response.statusCode, 201);
  assert.equal((await t.jsm.streams.info(BODIES_STREAM)).state.messages, Math.ceil(50_000_000 / 131_072));
  await t.sidecar('fib', app.port);
  await t.ended('fib', String(response.headers['slimfaas-element-id']));
  const hash = createHash('sha256');
  for (let i = 0; i < 100; i++) hash.update(chunk);
  assert.equal(app.requests[0]?.bodyHash, hash.digest('hex'));
  await waitFor(async () => (await t.jsm.streams.info(BODIES_STREAM)).state.messages === 0, {
    what: 'the body is gone',
  });
});

test('JetStream stands still in the middle of an upload: the client is held back, not the memory filled', async () => {
  await using t = await startJobProxy();
  await t.addFunction('fib');
  const upload = request(`${t.proxy.url}/async-function/fib/up`, { method: 'PUT' });
  const chunk = Buffer.alloc(128 * 1024);
  const answered = once(upload, 'response') as Promise<[import('node:http').IncomingMessage]>;
  const pid = t.proxy.nats.pid as number;
  process.kill(pid, 'SIGSTOP');
  let sent = 0;
  try {
    while (upload.write(chunk) || (await drains(upload))) sent += chunk.length;
    // 8 chunks unconfirmed, one being filled, what the stream and the two sockets hold: not the 100 MB to come.
    assert.ok(sent > 1_000_000 && sent < 20_000_000, `${sent} bytes were taken`);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  for (; sent < 100_000_000; sent += chunk.length) if (!upload.write(chunk)) await once(upload, 'drain');
  upload.end();
  const [response] = await answered;
  response.resume();
  assert.equal(response.statusCode, 201);
});

/** False once nothing has moved for half a second. */
function drains(upload: import('node:http').ClientRequest): Promise<boolean> {
  return Promise.race([once(upload, 'drain').then(() => true), sleep(500).then(() => false)]);
}

test('413 above --max-body: announced or found out, and nothing is left in the store', async () => {
  await using t = await startJobProxy(['--max-body=1000000']);
  await t.addFunction('fib');
  const announced = await t.post('fib', '/', { body: Buffer.alloc(1_000_001) });
  assert.deepEqual([announced.status, announced.headers['slimfaas-reason']], [413, 'body-too-large']);
  assert.equal((await t.post('fib', '/', { body: Buffer.alloc(1_000_000) })).status, 201);
  const before = (await t.jsm.streams.info(BODIES_STREAM)).state.messages;
  const headers = { 'Transfer-Encoding': 'chunked' };
  const found = await t.post('fib', '/', { headers, body: Buffer.alloc(1_200_000) });
  assert.equal(found.status, 413);
  assert.equal((await t.jsm.streams.info(BODIES_STREAM)).state.messages, before);
  assert.equal(await t.depth(), 1);
});

test('a small --max-body holds for bodies that would travel in the message too', async () => {
  await using t = await startJobProxy(['--max-body=10']);
  await t.addFunction('fib');
  const headers = { 'Transfer-Encoding': 'chunked' };
  assert.equal((await t.post('fib', '/', { headers, body: '01234567890' })).status, 413);
  assert.equal((await t.post('fib', '/', { headers, body: '0123456789' })).status, 201);
});

test('Expect: 100-continue is answered when the body is wanted, and not when it is not', async () => {
  await using t = await startJobProxy(['--max-body=100']);
  await t.addFunction('fib');
  const head = (length: number): string =>
    `POST /async-function/fib/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
  const socket = connect(t.proxy.port, '127.0.0.1');
  socket.write(head(5));
  const [first] = (await once(socket, 'data')) as [Buffer];
  assert.equal(String(first), 'HTTP/1.1 100 Continue\r\n\r\n');
  socket.write('hello');
  const [second] = (await once(socket, 'data')) as [Buffer];
  assert.match(String(second), /^HTTP\/1.1 201 /);
  socket.destroy();
  assert.match(await rawCall(t.proxy.port, head(101), '\r\n\r\n'), /^HTTP\/1.1 413 /);
});

test('a caller who leaves in the middle of his body leaves no job and no body', async () => {
  await using t = await startJobProxy();
  await t.addFunction('fib');
  const upload = request(`${t.proxy.url}/async-function/fib/up`, { method: 'PUT' });
  upload.on('error', () => undefined);
  upload.write(Buffer.alloc(3_000_000));
  await waitFor(async () => (await t.jsm.streams.info(BODIES_STREAM)).state.messages > 10, {
    what: 'on its way',
  });
  upload.destroy();
  await waitFor(async () => (await t.jsm.streams.info(BODIES_STREAM)).state.messages === 0, {
    what: 'nothing is left',
  });
  assert.equal(await t.depth(), 0);
});

test('behaviour 26: JetStream down: 503 with Retry-After, and no job appears later', async () => {
  await using t = await startJobProxy(['--job-ack-timeout=0.5']);
  await t.addFunction('fib');
  await t.proxy.nats.kill();
  const answers = await Promise.all(Array.from({ length: 20 }, () => t.post('fib', '/')));
  for (const answer of answers) {
    assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [503, 'queue-unavailable']);
    assert.ok(Number(answer.headers['retry-after']) >= 1);
  }
  await t.proxy.nats.restart();
  await waitFor(async () => (await t.post('fib', '/')).status === 201, { what: 'jobs are accepted again' });
  await waitFor(async () => (await t.depth()) === 1, { what: 'only the accepted one is there' });
});

test('429 at --max-jobs, and again 201 when there is room', async () => {
  await using t = await startJobProxy([], { maxJobsPerFunction: 2 });
  await using app = await new Recorder((_req, res) => res.end()).listen();
  await t.addFunction('fib');
  for (let i = 0; i < 2; i++) assert.equal((await t.post('fib', '/')).status, 201);
  const full = await t.post('fib', '/');
  assert.deepEqual([full.status, full.headers['slimfaas-reason']], [429, 'queue-full']);
  assert.ok(Number(full.headers['retry-after']) >= 1);
  await t.sidecar('fib', app.port);
  await waitFor(async () => (await t.depth()) === 0, { what: 'the queue is empty' });
  assert.equal((await t.post('fib', '/')).status, 201);
});

test('an unknown or private function is unknown here too, and so are its jobs', async () => {
  await using t = await startJobProxy();
  await t.addFunction('secret', { DefaultVisibility: 'Private' });
  await t.addFunction('half', { PathsStartWithVisibility: 'Private:/admin' });
  const id = `${'0'.repeat(32)}1`;
  for (const name of ['nope', 'secret']) {
    for (const answer of [await t.post(name, '/x'), await t.job(name, id), await callback(t, name, id)])
      assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [404, 'unknown-function'], name);
  }
  assert.equal((await t.post('half', '/admin/x')).status, 404);
  assert.equal((await t.post('half', '/%61dmin/x')).status, 404);
  assert.equal((await t.post('half', '/open')).status, 201);
  assert.equal((await callUrl(`${t.proxy.url}/async-function/`)).status, 404);
});

function callback(t: JobProxy, name: string, id: string) {
  return callUrl(`${t.proxy.url}/async-function-callback/${name}/${id}/success`, { method: 'POST' });
}

test('metrics: accepted, refused by reason, and how long acceptance took', async () => {
  await using t = await startJobProxy(['--max-body=10']);
  await t.addFunction('fib');
  await t.post('fib', '/', { body: 'x' });
  await t.post('fib', '/', { body: 'more than ten' });
  const { text } = await t.admin('/metrics');
  const labels = 'namespace="default",function="fib"';
  assert.ok(text.includes(`slimfaas_proxy_jobs_accepted_total{${labels}} 1\n`));
  assert.ok(text.includes(`slimfaas_proxy_jobs_refused_total{${labels},reason="body-too-large"} 1\n`));
  assert.ok(text.includes(`slimfaas_proxy_job_accept_seconds_count{${labels}} 1\n`));
});
