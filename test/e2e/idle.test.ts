/** Going to sleep, and what keeps awake: time, dependents, open connections, missing knowledge. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { waitFor } from '../helpers/wait.ts';
import { startWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld();
});
after(() => world[Symbol.asyncDispose]());

/** A WebSocket server in one line of Node is none: the function answers the upgrade and echoes raw bytes. */
const SOCKET_APP = `
const http = require('node:http');
const server = http.createServer((q, r) => r.end('ok'));
server.on('upgrade', (q, s) => {
  const crypto = require('node:crypto');
  const key = crypto.createHash('sha1').update(q.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  s.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + key + '\\r\\n\\r\\n');
  s.on('data', (d) => { if ((d[0] & 15) === 8) s.end(); });
  s.on('error', () => {});
});
server.listen(5000, process.env.HOST);
`;

test('behaviour 18: A depends on B depends on a database; they come up in order, stay while A is used, sleep after', async () => {
  await world.deploy({
    name: 'database',
    kind: 'StatefulSet',
    args: ['--tcp', '3306'],
    port: null,
    annotations: { TimeoutSecondBeforeSetReplicasMin: 1 },
  });
  await world.deploy({
    name: 'b',
    annotations: { TimeoutSecondBeforeSetReplicasMin: 1, DependsOn: 'database' },
  });
  await world.deploy({ name: 'a', annotations: { TimeoutSecondBeforeSetReplicasMin: 3, DependsOn: 'b' } });
  const order: string[] = [];
  const stop = ['deployments', 'statefulsets'].map((resource) =>
    world.system.api.watch(resource, (_, { metadata: { name }, spec }) => {
      if (['a', 'b', 'database'].includes(name) && spec.replicas > 0 && !order.includes(name))
        order.push(name);
    }),
  );
  assert.equal((await world.call('a', '/hello/x')).status, 200);
  assert.deepEqual(order, ['database', 'b', 'a']);
  for (const release of stop) release();

  // Many idle timeouts of `b` and `database`, and more than two of `a`, while only `a` is called.
  const until = performance.now() + 8_000;
  while (performance.now() < until) {
    assert.equal((await world.call('a', '/slow/250')).status, 200);
    assert.deepEqual([world.replicas('a'), world.replicas('b'), world.replicas('database')], [1, 1, 1]);
  }
  for (const name of ['a', 'b', 'database']) await world.waitForReplicas(name, 0, 20_000);
});

test('behaviour 17: an idle WebSocket is open; the idle timeout passes; not scaled to zero', async () => {
  await world.deploy({
    name: 'socket',
    image: 'tests/socket',
    command: ['node', '-e', SOCKET_APP],
    annotations: { TimeoutSecondBeforeSetReplicasMin: 1 },
  });
  const socket = new WebSocket(`${world.system.proxyUrl.replace('http', 'ws')}/function/socket/chat`);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const opened = Date.now();
  // Three timeouts and more; the condition is about time itself, so there is no event to wait for.
  await waitFor(() => Date.now() - opened > 4_000 || world.replicas('socket') === 0, { what: '4 s' });
  assert.equal(world.replicas('socket'), 1);
  socket.close();
  await world.waitForReplicas('socket', 0, 20_000);
});

test('behaviour 20: the scaler is restarted with pods busy; replicas unchanged', async () => {
  await world.deploy({
    name: 'steady',
    annotations: { ReplicasAtStart: 2, TimeoutSecondBeforeSetReplicasMin: 2 },
  });
  await fetch(`${world.system.proxyUrl}/wake-function/steady`, { method: 'POST' });
  await world.waitForReady('steady', 2);
  const record = world.recordReplicas('steady');
  const busy = world.call('steady', '/slow/9000');
  for (const pod of scalers()) world.system.failures.killPod('slimfaas', pod.metadata.name);
  assert.equal((await busy).status, 200);
  assert.deepEqual(record.seen, [2]);
  record.stop();
});

test('behaviour 20: the leader is killed while a caller waits at zero; still woken', async () => {
  await world.deploy({ name: 'orphan' });
  const lease = world.system.api.get('leases', 'slimfaas', 'slimfaas-scaler');
  const leader = String(lease?.['spec'].holderIdentity).split('@')[0] ?? '';
  const release = world.system.failures.crash('scaler'); // it does not come back before we say so
  world.system.failures.killPod('slimfaas', leader);
  const answer = await world.call('orphan', '/hello/x');
  release();
  assert.equal(answer.status, 200);
  assert.ok(answer.ms < 40_000, `woken after ${Math.round(answer.ms)} ms`);
});

function scalers() {
  return world.system.api.list('pods', {
    namespace: 'slimfaas',
    labelSelector: 'app.kubernetes.io/component=scaler',
  });
}
