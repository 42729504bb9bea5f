/** What a pod remembers of the jobs that it gave back: how often, of the last thousand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Suspects } from '../../../sidecar/jobs/suspects.ts';

function suspects(): Suspects {
  return new Suspects({
    queue: { look: async () => ({ waiting: 0, madeMs: 0, doneUpTo: 0 }), lastSequence: async () => 0 },
    source: { kind: 'jobs', id: { namespace: 'ns', name: 'fn' } },
    isReconnect: false,
    heldUpTo: undefined,
    signal: AbortSignal.abort(),
  });
}

test('what this pod gave back is counted for each job, and another consumer counts again', () => {
  const own = suspects();
  own.gaveBack({ seq: 7 });
  own.gaveBack({ seq: 7 });
  assert.deepEqual([own.timesGivenBack({ seq: 7 }), own.timesGivenBack({ seq: 8 })], [2, 0]);
  own.sourceIsGone();
  assert.equal(own.timesGivenBack({ seq: 7 }), 0);
});

test('a thousand jobs are remembered; the one that was given back longest ago is forgotten first', () => {
  const own = suspects();
  for (let seq = 1; seq <= 1_000; seq++) own.gaveBack({ seq });
  own.gaveBack({ seq: 1 });
  own.gaveBack({ seq: 1_001 });
  assert.deepEqual(
    [1, 2, 3, 1_001].map((seq) => own.timesGivenBack({ seq })),
    [2, 0, 1, 1],
  );
});
