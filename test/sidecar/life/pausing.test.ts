/** The user's container is restarted while its pod lives on: `/drain?container=…` pauses, `/drain` ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import type { ServerResponse } from 'node:http';
import { App } from '../support/app.ts';
import { metricIs, sidecarFor } from '../support/sidecar.ts';

/** The first request is held until `release`; all others are answered at once. */
function holdingFirst() {
  let first: ServerResponse | undefined;
  return {
    handler(_req: unknown, res: ServerResponse, nth: number) {
      if (nth === 1) first = res;
      else res.end('at once');
    },
    release: () => void first?.end('held'),
  };
}

describe('sidecar: pausing', () => {
  it('what runs is finished before the container may end; then calls go on with the new one', async () => {
    const hold = holdingFirst();
    await using app = await new App(hold.handler).listen();
    await using sidecar = await sidecarFor(app.port);
    const { port } = app;
    const running = sidecar.proxyCall();
    await metricIs(sidecar, 'slimfaas_sidecar_running', 1);
    let mayEnd = false;
    const preStop = sidecar.admin('/drain?container=app').then(() => (mayEnd = true));
    await waitFor(async () => (await sidecar.proxyCall()).headers['slimfaas-refused'] === 'starting', {
      what: 'a proxy is refused',
    });
    const direct = sidecar.call();
    await metricIs(sidecar, 'slimfaas_sidecar_waiting', 1);
    assert.equal(mayEnd, false, 'a call still runs');
    hold.release();
    assert.equal((await running).status, 200);
    await preStop;

    await app.close();
    assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'starting');
    app.handler = (_req, res) => res.end('new');
    await app.listen(port);
    assert.equal((await direct).body, 'new', 'who waited in line is served');
    assert.equal((await sidecar.proxyCall()).body, 'new');
  });

  it('at the end of a pod both hooks come: it is drained for good, and the container waits for that', async () => {
    const hold = holdingFirst();
    await using app = await new App(hold.handler).listen();
    await using sidecar = await sidecarFor(app.port);
    const running = sidecar.proxyCall();
    await metricIs(sidecar, 'slimfaas_sidecar_running', 1);
    const hooks = Promise.all([sidecar.admin('/drain?container=app'), sidecar.admin('/drain')]);
    await waitFor(async () => (await sidecar.proxyCall()).headers['slimfaas-refused'] === 'draining', {
      what: 'a proxy is refused for good',
    });
    hold.release();
    assert.equal((await running).status, 200);
    assert.deepEqual(
      (await hooks).map(({ status }) => status),
      [200, 200],
    );
    assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'draining');
  });
});
