/** Pods with IPv6 addresses, alone or beside IPv4: reached by either, and an app that listens on `::1` is reached too. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { sidecarFlags } from '../../common/function/sidecar-flags.ts';
import { call } from './support/client.ts';
import { healthServer } from './support/health-server.ts';
import { sidecarFor } from './support/sidecar.ts';

async function appOnLoopback6(): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((_req, res) => res.end('from ::1')).listen(0, '::1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

describe('sidecar: IPv6', () => {
  it('listens on every address by default', async () => {
    await using app = await appOnLoopback6();
    await using sidecar = await sidecarFor(app.port, {
      flags: { host: sidecarFlags.host.default, 'app-host': '::1' },
    });
    for (const host of ['::1', '127.0.0.1']) {
      const answer = await call(sidecar.port, '/', { host });
      assert.deepEqual([answer.status, answer.body], [200, 'from ::1'], host);
    }
  });

  it('runs each kind of probe against an IPv6 address', async () => {
    await using app = await appOnLoopback6();
    await using health = await healthServer('::1', [], { '': 1 });
    const { port } = app;
    const probed = [
      { httpGet: { path: '/', port } },
      { tcpSocket: { port } },
      { grpc: { port: health.port } },
    ];
    for (const readiness of probed) {
      const probes = JSON.stringify([{ readiness }]);
      await using sidecar = await sidecarFor(port, { flags: { 'app-host': '::1', probes } });
      assert.equal((await sidecar.proxyCall()).status, 200, probes);
    }
  });
});
