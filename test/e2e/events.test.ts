/** Events through the whole system: to every pod, to a function at zero, and from a pod that ends to the next. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KubeObject } from '../../packages/local-cluster/api/objects/types.ts';
import { waitFor } from '../helpers/wait.ts';
import { send, startWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200 });
});
after(() => world[Symbol.asyncDispose]());

/** 503 says that JetStream is not there (yet: its streams are made by the scaler's leader): tried again. */
async function publish(path: string): Promise<void> {
  const isDone = async () => {
    const answer = await send(`${world.system.proxyUrl}/publish-event/${path}`, {
      method: 'POST',
      body: 'x',
    });
    assert.ok(answer.status === 204 || answer.status === 503, answer.body);
    return answer.status === 204;
  };
  await waitFor(isDone, { what: 'the event is taken', timeoutMs: 30_000, intervalMs: 200 });
}

/** Of a pod's sidecar: how many of its `events` or `jobs` ended well. */
async function doneIn(pod: KubeObject, kind: 'events' | 'jobs'): Promise<number> {
  const text = await (await fetch(`http://${pod['status'].podIP}:15081/metrics`)).text();
  const line = new RegExp(`^slimfaas_sidecar_${kind}_total\\{[^}]*outcome="done"\\} (\\d+)$`, 'm').exec(text);
  return Number(line?.[1]);
}

/** The pods of the function read events: their sidecars have made their consumers. */
async function hears(name: string, count: number): Promise<void> {
  await world.waitForReady(name, count);
  await waitFor(
    async () => {
      await publish(`${name}-ping/hello/ping`);
      const pods = world.pods(name);
      const done = await Promise.all(pods.map((pod) => doneIn(pod, 'events')));
      return done.length === count && done.every((events) => events > 0);
    },
    { what: `all pods of ${name} hear events`, timeoutMs: 60_000, intervalMs: 500 },
  );
}

test('every pod of one function and the first pod of another, at zero, get it; that one sleeps again', async () => {
  await world.deploy({ name: 'warm', annotations: { SubscribeEvents: 'paid,warm-ping', ReplicasMin: 2 } });
  await world.deploy({
    name: 'cold',
    annotations: { SubscribeEvents: 'Public:paid', TimeoutSecondBeforeSetReplicasMin: 3 },
  });
  await hears('warm', 2);
  const pods = world.pods('warm');
  const before = await Promise.all(pods.map((pod) => doneIn(pod, 'events')));
  const record = world.recordReplicas('cold');
  await publish('paid/hello/there?x=1');
  for (const [i, pod] of pods.entries()) {
    const isIt = async () => (await doneIn(pod, 'events')) > (before[i] ?? 0);
    await waitFor(isIt, { what: `${pod.metadata.name} has it`, timeoutMs: 30_000 });
  }
  const coldRan = async (): Promise<boolean> => {
    const [pod] = world.pods('cold');
    return pod?.['status'].podIP !== undefined && (await doneIn(pod, 'jobs').catch(() => 0)) === 1;
  };
  await waitFor(coldRan, { what: 'the first pod of cold has run it', timeoutMs: 30_000 });
  await waitFor(() => record.seen.includes(0) && record.seen.at(-1) === 0 && record.seen.length > 1, {
    what: 'cold has done it and sleeps again',
    timeoutMs: 60_000,
  });
  record.stop();
});

test('an event that its pod cannot finish is finished by the next one', async () => {
  await world.deploy({
    name: 'slow',
    annotations: { SubscribeEvents: 'slow-long,slow-ping', ReplicasMin: 1 },
    graceSeconds: 3,
  });
  await hears('slow', 1);
  const [first] = world.pods('slow');
  assert.ok(first);
  await publish('slow-long/slow/12000');
  await waitFor(() => isRunning(first), { what: 'it runs' });
  await world.system.api.delete('pods', 'slimfaas', first.metadata.name ?? '');
  await isDoneByNext('slow', first);
});

test('an event whose pod is gone without a word is found by the scaler, and run by the next pod', async () => {
  await world.deploy({
    name: 'lost',
    annotations: { SubscribeEvents: 'lost-long,lost-ping', ReplicasMin: 1 },
  });
  await hears('lost', 1);
  const [first] = world.pods('lost');
  assert.ok(first);
  await publish('lost-long/slow/12000');
  await waitFor(() => isRunning(first), { what: 'it runs' });
  // Killed first: within the moment of a forced deletion a sidecar may still say that it ends.
  world.system.failures.killPod('slimfaas', first.metadata.name ?? '');
  await world.system.api.delete('pods', 'slimfaas', first.metadata.name ?? '', { gracePeriodSeconds: 0 });
  await isDoneByNext('lost', first);
  const moved = /scaler .* events of an ended pod moved function=slimfaas\/lost/;
  assert.ok(
    world.system.logLines.some((line) => moved.test(line)),
    'by the scaler',
  );
});

async function isRunning(pod: KubeObject): Promise<boolean> {
  const text = await (await fetch(`http://${pod['status'].podIP}:15081/metrics`)).text();
  return /^slimfaas_sidecar_jobs_running\{[^}]*\} 1$/m.test(text);
}

async function isDoneByNext(name: string, first: KubeObject): Promise<void> {
  await waitFor(
    async () => {
      const next = world.pods(name).find((pod) => pod.metadata.name !== first.metadata.name);
      return next?.['status']?.podIP !== undefined && (await doneIn(next, 'jobs')) > 0;
    },
    { what: 'the next pod has finished it', timeoutMs: 90_000, intervalMs: 100 },
  );
}

test('a private event is unknown outside', async () => {
  await world.deploy({ name: 'hidden', annotations: { SubscribeEvents: 'Private:secret' } });
  const answer = await send(`${world.system.proxyUrl}/publish-event/secret/x`, { method: 'POST' });
  assert.equal(answer.status, 404);
  assert.equal(answer.headers['slimfaas-reason'], 'unknown-event');
});
