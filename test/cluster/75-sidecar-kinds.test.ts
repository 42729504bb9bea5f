/**
 * What the sidecar costs a cold start as a native sidecar and as an ordinary container after the app's, in one run
 * (docs/decisions/sidecar-container.md). It takes minutes, so it asks for a run that measures.
 */
import { after, it } from 'node:test';
import type { KubeObject } from './harness/clients.ts';
import { describeStarts, functionWay, measureColdStarts } from './harness/cold-starts.ts';
import { templateWithSidecar, type SidecarKind } from './harness/sidecar-kinds.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { samples } = world.context.settings;
const MEASURING = 10;
const whyNot = samples < MEASURING ? `a measurement of minutes: CLUSTER_SAMPLES=${MEASURING} or more` : false;
const KINDS: readonly SidecarKind[] = ['native', 'ordinary'];

for (const startMs of [50, 300, 3_000])
  it(`cold starts of an app of ${startMs} ms, with either kind of sidecar`, { skip: whyNot }, async (t) => {
    const caller = await world.caller();
    await using model = await world.deploy({ name: 'model' });
    await world.call(model.name);
    const pod = (await model.pods())[0] as KubeObject;
    const deployed = await Promise.all(
      KINDS.map((kind) => {
        const name = `${kind}-${startMs}`;
        const template = templateWithSidecar(pod, name, kind, { START_MS: String(startMs) });
        return world.deploy({ name, workload: { template } });
      }),
    );
    after(() => Promise.all(deployed.map((fn) => fn[Symbol.asyncDispose]())));
    const ways = deployed.map((fn) => functionWay(world, caller, fn));
    const starts = await measureColdStarts(world, ways, samples);
    for (const [index, kind] of KINDS.entries())
      t.diagnostic(`${kind}: ${describeStarts(starts[index] ?? [])}`);
  });
