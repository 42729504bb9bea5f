import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ANSWERS, REQUESTS, type Message } from './fidelity-corpus.ts';
import { edge } from '../exchange/rig.ts';
import { rawClient, rawUpstream, type Wire } from './wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What the function receives when these bytes are sent at `port`. */
async function functionSide(
  t: TestContext,
  port: number,
  wire: Promise<Wire>,
  bytes: string,
): Promise<string> {
  const client = await rawClient(t, port);
  client.send(bytes);
  const upstream = await wire;
  await upstream.until('the whole request', (received) => received.length >= bytes.length);
  upstream.send(OK);
  return upstream.received;
}

/** What a caller receives from `port` when the function says these bytes. */
async function callerSide(
  t: TestContext,
  port: number,
  wire: Promise<Wire>,
  { bytes }: Message,
): Promise<string> {
  const client = await rawClient(t, port);
  client.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
  const upstream = await wire;
  await upstream.contains('\r\n\r\n');
  upstream.send(bytes);
  await client.until(
    'the whole answer',
    (received) => received.length >= bytes.length && isWhole(received, bytes),
  );
  return client.received;
}

/** The relay re-frames chunks; the end of a body is where the end of what was sent is. */
function isWhole(received: string, sent: string): boolean {
  return !sent.includes('Transfer-Encoding') || received.endsWith(sent.slice(-12));
}

/** Without the hop's own two headers, and chunk bounds taken out of a chunked body. */
function comparable(answer: string): string {
  const plain = answer.replace(/Connection: keep-alive\r\nKeep-Alive: timeout=75\r\n/, '');
  const end = plain.indexOf('\r\n\r\n', plain.lastIndexOf('HTTP/1.1 ')) + 4;
  if (!/\r\nTransfer-Encoding: chunked\r\n/.test(plain.slice(0, end))) return plain;
  let [body, at] = ['', end];
  for (;;) {
    const line = plain.indexOf('\r\n', at);
    const size = Number.parseInt(plain.slice(at, line), 16);
    if (size === 0) return plain.slice(0, end) + body + plain.slice(at);
    body += plain.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

describe('requests reach the function as they would without the relay', () => {
  for (const message of REQUESTS)
    it(message.name, async (t) => {
      const upstream = await rawUpstream(t);
      const { port } = await edge(t, upstream.target);
      const direct = await functionSide(t, upstream.target.port, upstream.wire(0), message.bytes);
      const relayed = await functionSide(t, port, upstream.wire(1), message.bytes);
      assert.ok(relayed === direct, `${JSON.stringify(relayed.slice(0, 500))} instead of what was sent`);
    });
});

describe('answers reach the caller as they would without the relay', () => {
  for (const message of ANSWERS)
    it(message.name, async (t) => {
      const upstream = await rawUpstream(t);
      const { port } = await edge(t, upstream.target);
      const direct = await callerSide(t, upstream.target.port, upstream.wire(0), message);
      const relayed = await callerSide(t, port, upstream.wire(1), message);
      assert.ok(comparable(relayed) === comparable(direct), `${JSON.stringify(relayed.slice(0, 500))}`);
    });
});
