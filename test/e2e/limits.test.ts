/** Limits through the whole system: a pod's own, and the one over all pods. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitFor } from '../helpers/wait.ts';
import { mostAtOnce, startWorld, type Work, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld();
});
after(() => world[Symbol.asyncDispose]());

test('behaviour 2: L = 1, five clients; never two at once inside the function', async () => {
  await world.deploy({ name: 'single', annotations: { NumberParallelRequestPerPod: 1 } });
  const works: Work[] = [];
  const until = Date.now() + 4_000;
  const client = async () => {
    while (Date.now() < until) works.push(await world.work('single', 20));
  };
  await Promise.all(Array.from({ length: 5 }, client));
  assert.ok(works.length > 20, `${works.length} pieces of work`);
  assert.equal(Math.max(...works.map(({ running }) => running)), 1);
  assert.equal(mostAtOnce(works), 1);
});

test('behaviour 9: three pods, NumberParallelRequest 10; never more than 10 in all while pods come and go', async () => {
  await world.deploy({
    name: 'shared',
    annotations: {
      NumberParallelRequest: 10,
      NumberParallelRequestPerPod: 10,
      ReplicasAtStart: 3,
      ReplicasMin: 3,
    },
    replicas: 3,
  });
  await world.waitForReady('shared', 3);
  const works: Work[] = [];
  let isOver = false;
  const client = async () => {
    // oxlint-disable-next-line no-unmodified-loop-condition -- set at the end of the test
    while (!isOver) works.push(await world.work('shared', 40));
  };
  const clients = Array.from({ length: 30 }, client);
  const inAll = () => works.length;
  await waitFor(() => inAll() > 150, { what: '150 calls done', timeoutMs: 20_000 });
  const [victim] = world.pods('shared');
  await world.system.api.delete('pods', 'slimfaas', victim?.metadata.name ?? '');
  await waitFor(() => world.pods('shared').length === 3 && inAll() > 400, {
    what: 'a new pod, 400 calls',
    timeoutMs: 30_000,
  });
  await world.waitForReady('shared', 3);
  const sinceThen = works.length;
  await waitFor(() => inAll() > sinceThen + 300, { what: '300 more calls', timeoutMs: 30_000 });
  isOver = true;
  await Promise.all(clients);

  assert.ok(mostAtOnce(works) <= 10, `${mostAtOnce(works)} ran at once`);
  const late = works.slice(sinceThen + 100);
  const byPod = Map.groupBy(late, ({ pod }) => pod);
  assert.equal(byPod.size, 3, 'no pod starves');
  for (const [pod, some] of byPod)
    assert.ok(some.length > late.length / 10, `${pod} did ${some.length} of ${late.length}`);
});
