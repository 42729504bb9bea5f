/** How long a first call takes, beside `kubectl scale` and a Service in the same run. Measured, not judged by a limit. */
import { it } from 'node:test';
import {
  describeStarts,
  functionWay,
  measureColdStarts,
  quantile,
  serviceWay,
} from './harness/cold-starts.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

it('cold starts, beside `kubectl scale` and a Service', async (t) => {
  const caller = await world.caller();
  await using fn = await world.deploy({ name: 'cold' });
  await using plain = await world.deployPlain({ name: 'plain' });
  await world.apply(service(plain.name));
  const url = `http://${plain.name}.${world.namespace}:80/hello`;
  const ways = [functionWay(world, caller, fn), serviceWay(caller, plain, url)];
  const [ours = [], theirs = []] = await measureColdStarts(world, ways, world.context.settings.samples);
  t.diagnostic(`function: ${describeStarts(ours)}`);
  t.diagnostic(`kubectl scale and a Service: ${describeStarts(theirs)}`);
  const ratio = quantile(ours, 'answered', 0.5) / quantile(theirs, 'answered', 0.5);
  t.diagnostic(`ratio of the medians ${ratio.toFixed(2)}`);
});

function service(name: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: world.namespace },
    spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 5000 }] },
  };
}
