/** The whole system where NATS asks everybody who they are: `auth: required` of the chart. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect } from 'nats';
import { waitFor } from '../helpers/wait.ts';
import { send, startWorld, type World } from './world.ts';

describe('with auth: required', { concurrency: false }, () => {
  let world: World;
  before(async () => {
    world = await startWorld({ values: { auth: 'required' } });
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('a function answers from zero', async () => {
    await world.deploy({ name: 'shop' });
    const { status } = await world.call('shop', '/hello');
    assert.equal(status, 200);
  });

  it('a job runs, and its result comes back', async () => {
    const { proxyUrl } = world.system;
    const post = () => send(`${proxyUrl}/async-function/shop/work/1`, { method: 'POST', body: 'x' });
    const posted = await waitFor(
      async () => {
        const answer = await post();
        return answer.status === 503 ? undefined : answer; // its stream is not made yet
      },
      { what: 'the job is accepted' },
    );
    assert.equal(posted.status, 201, posted.body);
    const url = `${proxyUrl}/async-function-job/shop/${String(posted.headers['slimfaas-element-id'])}`;
    const end = await send(url, { headers: { Prefer: 'wait=60' } });
    assert.match(end.body, /"done"/);
  });

  it('a stranger hears nothing: NATS lets nobody in without an identity', async () => {
    const { api } = world.system;
    const host = api.get('services', 'slimfaas', 'slimfaas-nats')?.['spec'].clusterIP as string;
    const tls = { rejectUnauthorized: false } as object;
    await assert.rejects(
      connect({ servers: `${host}:4222`, tls, reconnect: false }),
      /Authorization Violation/,
    );
  });
});
