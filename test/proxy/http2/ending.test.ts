/** The proxy's end over HTTP/2: what runs is answered, what comes too late is told so before it is lost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { startTestProxy } from '../support/test-proxy.ts';
import { answerOf, h2Client } from './h2-client.ts';

test('GOAWAY first; what runs is answered whole, new connections are served in the lame-duck time', async () => {
  const held: ServerResponse[] = [];
  await using t = await startTestProxy(['--lame-duck=1', '--drain-timeout=20']);
  t.addFunction('fib');
  await t.addPod('fib', {
    run: (req, res) => void (req.url === '/held' ? held.push(res) : res.end('quick')),
  });
  await t.readyPods('fib', 1);
  using old = h2Client(t.url);
  const running = old.call('/function/fib/held');
  await waitFor(() => held.length === 1, { what: 'a call runs' });
  const goaway = once(old.session, 'goaway');
  const stopped = t.proxy.stop();
  await goaway;
  using late = h2Client(t.url);
  const lateGoaway = once(late.session, 'goaway');
  assert.equal((await late.call('/function/fib/late')).text, 'quick');
  await lateGoaway;
  held[0]?.end('whole');
  assert.equal((await running).text, 'whole');
  await stopped;
});

test('a rollout under load loses no call: what GOAWAY left out is safe to send again, and is', async () => {
  await using t = await startTestProxy(['--lame-duck=1']);
  t.addFunction('fib');
  await t.addPod('fib', {
    run: (req, res) => void req.resume().once('end', () => res.end('ok')),
    limit: 1_000,
  });
  await t.readyPods('fib', 1);
  const second = await t.another();
  let url = t.url;
  const over = new AbortController();
  let answered = 0;
  const lost: unknown[] = [];
  // As gRPC's and every other client's pool does: another connection where this one takes no more, and once more
  // for what the server says it has not looked at.
  const caller = async (): Promise<void> => {
    let client = h2Client(url);
    while (!over.signal.aborted) {
      if (client.session.closed || client.session.destroyed) client = h2Client(url);
      const stream = client.start('/function/fib/', { body: 'x' });
      await answerOf(stream).then(
        ({ text }) => (text === 'ok' ? answered++ : lost.push(text)),
        (error: Error) => stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM && lost.push(error.message),
      );
    }
    client.session.destroy();
  };
  const callers = Array.from({ length: 8 }, caller);
  await waitFor(() => answered > 100, { what: 'calls flow' });
  url = second.url;
  await t.proxy.stop();
  const before = answered;
  await waitFor(() => answered > before + 100, { what: 'calls flow to the other proxy' });
  over.abort();
  await Promise.all(callers);
  assert.deepEqual(lost, []);
});
