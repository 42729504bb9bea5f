/** Events while sidecars and nats-server are killed: whatever was answered 204 reaches every function. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownAddress } from '../helpers/addresses.ts';
import { waitFor } from '../helpers/wait.ts';
import { startEventWorld, type EventWorld } from '../proxy/support/event-world.ts';
import { App, APP_HOST } from '../sidecar/support/app.ts';
import { startSidecarProcess, type SidecarProcess } from '../sidecar/support/sidecar-process.ts';

const EVENTS = 300;
const FUNCTIONS = ['a', 'b'] as const;

/** Reads events from its start on; `app ready` is a moment before that. */
function startPod(t: EventWorld, name: string, app: App): SidecarProcess {
  return startSidecarProcess({
    function: name,
    namespace: 'default',
    'pod-name': `${name}-0`,
    'app-host': APP_HOST,
    'app-port': app.port,
    nats: t.proxy.nats.url,
    'subscribe-events': 'paid',
  });
}

test('300 events while each sidecar and nats-server are killed: none lost', async () => {
  await using t = await startEventWorld(['--job-ack-timeout=2']);
  const apps = new Map<string, App>();
  const pods = new Map<string, SidecarProcess>();
  const restart = async (name: string): Promise<void> => {
    await pods.get(name)?.kill();
    const pod = startPod(t, name, apps.get(name) as App);
    pods.set(name, pod);
    await pod.hasLogged('app ready');
  };
  try {
    for (const name of FUNCTIONS) {
      apps.set(name, await new App((_req, res) => void setTimeout(() => res.end(), 20)).listen());
      await t.addFunction(name, { SubscribeEvents: 'paid' });
      await restart(name);
      await waitFor(async () => (await t.readers()).includes(`default__${name}-0`), {
        what: `${name} reads`,
      });
      t.proxy.setPod(name, `${name}-0`, ownAddress());
      await t.proxy.readyPods(name, 1);
    }
    const faults: Promise<void>[] = [];
    for (let i = 0; i < EVENTS; i++) {
      if (i === 60) faults.push(restart('a'));
      if (i === 120) faults.push(t.proxy.nats.restart());
      if (i === 180) faults.push(restart('b'));
      await publish(t, i);
    }
    await Promise.all(faults);
    for (const [name, app] of apps) {
      const seen = () => new Set(app.arrivals.map(({ url }) => url));
      await waitFor(() => seen().size === EVENTS, { what: `${name} has all`, timeoutMs: 120_000 });
      const repeats = app.count - EVENTS;
      // What ran when its sidecar was killed, and what the server forgot that the killed one had acknowledged.
      assert.ok(repeats < EVENTS, `${name}: ${repeats} repeats`);
    }
  } finally {
    for (const pod of pods.values()) await pod.kill();
    for (const app of apps.values()) await app.close();
  }
});

/** Again with the same key, until it is taken: a 503 may have stored it. */
async function publish(t: EventWorld, i: number): Promise<void> {
  const headers = { 'Idempotency-Key': `event-${i}` };
  const isTaken = async () => (await t.publish(`paid/${i}`, { headers })).status === 204;
  await waitFor(isTaken, { what: `event ${i} is taken`, timeoutMs: 60_000, intervalMs: 50 });
}
