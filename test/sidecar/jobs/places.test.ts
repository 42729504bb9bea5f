/** The pod's places as jobs take them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Admission } from '../../../sidecar/limits/admission.ts';
import { InFlight } from '../../../sidecar/limits/in-flight.ts';
import { placesOf } from '../../../sidecar/jobs/places.ts';

it('a place that is released twice comes back once, and is told once', async () => {
  const admission = new Admission({ limit: 4, queueLimit: 10, queueTimeoutMs: 1_000 });
  admission.open();
  const inFlight = new InFlight();
  let told = 0;
  const reporter = { released: () => told++, send: () => undefined };
  const context = { admission, inFlight, reporter } as unknown as Parameters<typeof placesOf>[0]['context'];
  const places = placesOf({ shares: { isKnown: true }, context }, 2);
  const first = places.tryEnter();
  const second = await places.enter(new AbortController().signal, 1_000);
  const counts = () => ({ room: places.room, running: admission.breaker.running, open: inFlight.count });
  assert.deepEqual(counts(), { room: 0, running: 2, open: 2 });
  first?.release();
  first?.release();
  assert.deepEqual(counts(), { room: 1, running: 1, open: 1 });
  assert.equal(told, 1);
  second.release();
  second.release();
  assert.deepEqual(counts(), { room: 2, running: 0, open: 0 });
  assert.equal(told, 2);
});
