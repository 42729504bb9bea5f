/** A function whose pods cannot come up: its callers get what its fallback says. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const NEVER = { image: 'example.invalid/no-such-image:1', imagePullPolicy: 'IfNotPresent' };

it('an answer as it is written, or that of another function', async () => {
  const annotations = { 'slimfaas.dev/cold-start-timeout': 2 };
  await using written = await world.deploy({
    name: 'says-sorry',
    annotations: { ...annotations, 'slimfaas.dev/fallback': '{"Body": "sorry", "Status": 200}' },
    container: NEVER,
  });
  const answer = await world.call(written.name);
  assert.deepEqual([answer.status, answer.body], [200, 'sorry']);
  await using other = await world.deploy({ name: 'stands-in', replicas: 1 });
  await using led = await world.deploy({
    name: 'is-led-on',
    annotations: { ...annotations, 'slimfaas.dev/fallback': `{"Function": "${other.name}"}` },
    container: NEVER,
  });
  const answered = await world.call(led.name);
  assert.equal(answered.status, 200, answered.body);
  assert.match((JSON.parse(answered.body) as { pod: string }).pod, /^stands-in/);
});
