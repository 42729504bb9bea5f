/** The Secret with the keys of proofs is read again, also after a read that never ended. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { createNkey } from '../../../common/identity/nkey.ts';
import { followProofKeys } from '../../../proxy/pods/proof-keys.ts';
import { Prover } from '../../../proxy/pods/prover.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { waitFor } from '../../helpers/wait.ts';
import { FakeClock } from '../support/fake-clock.ts';

test('a read that the API server never answers is given up', async (t) => {
  const key = createNkey('user');
  const data = { 'key.nk': Buffer.from(key.seed).toString('base64') };
  let reads = 0;
  const server = createServer((_req, res) => {
    if (++reads === 1) return; // it has stalled
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ kind: 'Secret', apiVersion: 'v1', metadata: { name: 'keys' }, data }));
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const config = new KubeConfig();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  config.loadFromClusterAndUser({ name: 'test', server: url, skipTLSVerify: true }, { name: 'test' });
  const prover = new Prover({ clock: new FakeClock() });
  const place = { 'proxy-keys-secret': 'keys', namespace: 'own' };
  const kube = { core: config.makeApiClient(CoreV1Api) };
  const following = followProofKeys(place, { kube, prover, log: silentLog, readLimitMs: 500 });
  await waitFor(() => reads === 1, { what: 'a read' });
  const pod = { namespace: 'own', name: 'a', proxyKeys: [key.publicKey] };
  // It asks for a key that is not there, so the next read is soon.
  assert.equal(prover.proofFor(pod, pod), undefined);
  const stop = await following;
  t.after(stop);
  await waitFor(() => prover.proofFor(pod, pod) !== undefined, { what: 'the key is there' });
  assert.equal(reads, 2);
});
