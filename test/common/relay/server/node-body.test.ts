import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { ReasonError } from '../../../../common/runtime/errors.ts';
import {
  NO_BODY,
  nodeBody,
  RelayError,
  replayableBody,
  serveHead,
  type BodyConsumer,
  type RawHeaders,
} from '../../../../common/relay/index.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { edge } from '../exchange/rig.ts';
import { rawClient } from '../wire/wire.ts';

const NOWHERE = { host: '127.0.0.1', port: 1 };

class Taker implements BodyConsumer {
  text = '';
  trailers: RawHeaders | undefined;
  error: Error | undefined;

  data(chunk: Buffer): boolean {
    this.text += chunk.toString('latin1');
    return true;
  }

  end(trailers: RawHeaders): void {
    this.trailers = trailers;
  }

  fail(error: Error): void {
    this.error = error;
  }
}

function requestWith(...rawHeaders: string[]): IncomingMessage {
  return {
    method: 'POST',
    url: '/',
    httpVersionMinor: 1,
    rawHeaders,
    headers: Object.fromEntries(
      rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]]] : [])),
    ),
    socket: {},
  } as unknown as IncomingMessage;
}

describe('the body of a request to Node’s server', () => {
  it('is none where no header announces one', () => {
    assert.equal(nodeBody(requestWith('Host', 'f')), NO_BODY);
    assert.equal(nodeBody(requestWith('Content-Length', '0')), NO_BODY);
    assert.equal(nodeBody(requestWith('content-length', '5')).length, 5);
    assert.equal(nodeBody(requestWith('Transfer-Encoding', 'chunked')).length, undefined);
  });

  it('comes with its trailers, and only once', async (t) => {
    const taker = new Taker();
    const { port } = await edge(t, NOWHERE, {
      handler(req, res) {
        const body = nodeBody(req);
        body.start(taker);
        assert.equal(body.canStart, false);
        req.on('end', () => res.end());
      },
    });
    const client = await rawClient(t, port);
    client.send(
      'POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n',
    );
    await client.contains('200 OK');
    assert.equal(taker.text, 'abc');
    assert.deepEqual(taker.trailers, ['X', 'y']);
  });

  it('fails when its caller leaves in the middle, whoever takes it', async (t) => {
    const taker = new Taker();
    const { port } = await edge(t, NOWHERE, { handler: (req) => nodeBody(req).start(taker) });
    const client = await rawClient(t, port);
    client.send('POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 9\r\n\r\nabc');
    await waitFor(() => taker.text === 'abc', { what: 'the first bytes' });
    client.reset();
    await waitFor(() => taker.error, { what: 'the failure' });
    assert.ok(taker.error instanceof RelayError && taker.error.code === 'caller-gone');
    assert.equal(taker.trailers, undefined);
  });

  it('fails also when its caller left before it was asked for', async (t) => {
    const taker = new Taker();
    let isGone = false;
    const { port } = await edge(t, NOWHERE, {
      handler(req, res) {
        res.on('close', () => {
          isGone = true;
          nodeBody(req).start(taker);
        });
      },
    });
    const client = await rawClient(t, port);
    client.send('POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 9\r\n\r\nabc');
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.reset();
    await waitFor(() => isGone && taker.error, { what: 'the failure' });
  });

  it('kept for a replay and left unfinished does not keep the connection from its next request', async (t) => {
    const { port } = await edge(t, NOWHERE, {
      handler(req, res) {
        const body = replayableBody(nodeBody(req));
        const taker = new Taker();
        taker.data = () => {
          body.stop(); // as a try that failed in the middle of it does
          res.end('done');
          return false;
        };
        if (body.length === 0) res.end('next');
        else body.start(taker);
      },
    });
    const client = await rawClient(t, port);
    const size = 1_000_000;
    client.send(`POST / HTTP/1.1\r\nHost: f\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
    await client.contains('done');
    client.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
    await client.contains('next');
  });
});

describe('serveHead', () => {
  it('does not rely on the parser in front of it', () => {
    for (const headers of [
      ['Host', 'f', 'Content-Length', '1', 'Content-Length', '1'],
      ['Host', 'f', 'Content-Length', '1', 'Transfer-Encoding', 'chunked'],
      ['Host', 'f', 'Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'],
      ['Host', 'f', 'Transfer-Encoding', 'chunked\t'],
      ['Host', 'f', 'Content-Length', '1 '],
      ['Host', 'f', 'Host', 'f'],
      [],
    ])
      assert.throws(
        () => serveHead(requestWith(...headers)),
        (error) => error instanceof ReasonError && error.code === 'bad-request' && error.status === 400,
        JSON.stringify(headers),
      );
  });

  it('gives an HTTP/1.0 request without Host on, for the relay to name the target', () => {
    const req = Object.assign(requestWith('X', 'y'), { httpVersionMinor: 0 });
    assert.deepEqual(serveHead(req), { method: 'POST', path: '/', headers: ['X', 'y'] });
  });
});
