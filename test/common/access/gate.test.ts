/** The gate before operator routes: what it asks, how often, and what it does with an answer that it cannot get. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { AccessConfig } from '../../../common/access/access-flags.ts';
import { createGate, type AccessQuestion, type Reviewer } from '../../../common/access/gate.ts';
import { gateOf } from '../../../common/access/open-gate.ts';
import { REVIEW_LIMITS } from '../../../common/access/review-cache.ts';
import type { ReasonCode } from '../../../common/runtime/errors.ts';

const GET: AccessQuestion = { verb: 'get', namespace: 'shop', name: 'fib' };

/** Tokens are user names; a user may do what `rights` says. */
class FakeReviewer implements Reviewer {
  readonly asked: string[] = [];
  readonly rights = new Set<string>();
  isAway = false;
  waitFor: Promise<void> | undefined;

  async userOf(token: string) {
    this.asked.push(`user ${token}`);
    await this.waitFor;
    if (this.isAway) throw new Error('connect ECONNREFUSED');
    return token.startsWith('bad') ? undefined : { username: token, groups: [] };
  }

  async may({ username }: { username: string }, { verb, subresource, namespace }: AccessQuestion) {
    const right = `${username} ${verb} ${subresource ?? 'functions'} ${namespace ?? '*'}`;
    this.asked.push(right);
    return this.rights.has(right);
  }
}

function world(namespaces: readonly string[] = []) {
  const reviewer = new FakeReviewer();
  const clock = { ms: 0 };
  const gate = createGate({ reviewer, namespaces, now: () => clock.ms });
  const ask = (token: string | undefined, question: AccessQuestion = GET, from = '10.0.0.1') =>
    gate.check(
      {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        socket: { remoteAddress: from },
      },
      question,
    );
  return { reviewer, clock, gate, ask };
}

const is = (code: ReasonCode) => (error: { code?: string }) => error.code === code;

describe('the gate', () => {
  it('lets in who has the right, and says which one is missing to who has not', async () => {
    const { reviewer, ask } = world();
    reviewer.rights.add('ann get functions shop');
    await ask('ann');
    await assert.rejects(ask('bob'), {
      code: 'forbidden',
      message: '"bob" may not get functions.slimfaas.dev "fib" in the namespace "shop"',
    });
  });

  it('asks nobody about what can be no token', async () => {
    const { reviewer, gate, ask } = world();
    await assert.rejects(ask(undefined), is('unauthenticated'));
    await assert.rejects(ask('a b'), is('unauthenticated'));
    await assert.rejects(ask('x'.repeat(9_000)), is('unauthenticated'));
    const socket = { remoteAddress: '10.0.0.1' };
    const basic = { headers: { authorization: 'Basic YTpi' }, socket };
    await assert.rejects(gate.check(basic, GET), is('unauthenticated'));
    assert.deepEqual(reviewer.asked, []);
  });

  it('takes the header of its own before Authorization', async () => {
    const { reviewer, gate } = world();
    reviewer.rights.add('ann get functions shop');
    const headers = { authorization: 'Bearer bob', 'slimfaas-authorization': 'Bearer ann' };
    await gate.check({ headers, socket: {} }, GET);
  });

  it('asks once for many at the same time, and again after ten seconds', async () => {
    const { reviewer, clock, ask } = world();
    reviewer.rights.add('ann get functions shop');
    await Promise.all(Array.from({ length: 50 }, () => ask('ann')));
    clock.ms = REVIEW_LIMITS.keptMs - 1;
    await ask('ann');
    assert.deepEqual(reviewer.asked, ['user ann', 'ann get functions shop']);
    clock.ms = REVIEW_LIMITS.keptMs;
    reviewer.rights.clear();
    await assert.rejects(ask('ann'), is('forbidden'));
  });

  it('keeps a bad token as an answer too', async () => {
    const { reviewer, ask } = world();
    for (let i = 0; i < 5; i++) await assert.rejects(ask('bad'), is('unauthenticated'));
    assert.deepEqual(reviewer.asked, ['user bad']);
  });

  it('says that Kubernetes does not answer, and asks again at the next request', async () => {
    const { reviewer, ask } = world();
    reviewer.rights.add('ann get functions shop');
    reviewer.isAway = true;
    await assert.rejects(ask('ann'), { code: 'identity-unavailable', message: /ECONNREFUSED/ });
    reviewer.isAway = false;
    await ask('ann');
  });

  it('asks for so many tokens of one address at once, and others are not in its way', async () => {
    const { reviewer, ask } = world();
    reviewer.rights.add('ann get functions shop');
    const { promise, resolve } = Promise.withResolvers<void>();
    reviewer.waitFor = promise;
    const flood = Array.from({ length: 100 }, (_, i) => ask(`bad${i}`, GET, '10.6.6.6'));
    const ann = ask('ann');
    resolve();
    const codes = (await Promise.allSettled(flood)).map(
      (end) => (end as { reason: { code: string } }).reason.code,
    );
    assert.equal(codes.filter((code) => code === 'unauthenticated').length, REVIEW_LIMITS.atOnceOfAddress);
    assert.equal(codes.filter((code) => code === 'too-busy').length, 100 - REVIEW_LIMITS.atOnceOfAddress);
    await ann;
  });

  it('keeps so many answers, and gives up the oldest', async () => {
    const { reviewer, ask } = world();
    for (let i = 0; i <= REVIEW_LIMITS.kept; i++) await assert.rejects(ask(`bad${i}`), is('unauthenticated'));
    reviewer.asked.length = 0;
    await assert.rejects(ask('bad0'), is('unauthenticated'));
    await assert.rejects(ask(`bad${REVIEW_LIMITS.kept}`), is('unauthenticated'));
    assert.deepEqual(reviewer.asked, ['user bad0']);
  });

  it('a question about all functions is one about every namespace that is served', async () => {
    const { reviewer, ask } = world(['a', 'b']);
    reviewer.rights.add('ann list functions a').add('bob list functions a').add('bob list functions b');
    await assert.rejects(ask('ann', { verb: 'list' }), is('forbidden'));
    await ask('bob', { verb: 'list' });
    const everywhere = world();
    everywhere.reviewer.rights.add('bob list functions *');
    await everywhere.ask('bob', { verb: 'list' });
  });
});

describe('the gate by flags', () => {
  const config = (mode: string, file = ''): AccessConfig => ({
    'operator-auth': mode,
    'operator-token-file': file,
    'open-metrics': false,
  });
  const options = { reviewer: new FakeReviewer(), namespaces: [], now: () => 0 };
  const asking = (token: string) => ({ headers: { authorization: `Bearer ${token}` }, socket: {} });

  it('off: everybody', async () => {
    const gate = gateOf(config('off'), options);
    assert.equal(gate.isClosed, false);
    await gate.check({ headers: {}, socket: {} }, GET);
  });

  it('token: the one of the file, and no other, also not an empty one', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'gate-'));
    t.after(() => rm(dir, { recursive: true }));
    const file = join(dir, 'token');
    const open = () => gateOf(config('token', file), options);
    await assert.rejects(open().check(asking('s3cret'), GET), {
      code: 'identity-unavailable',
      message: /ENOENT/,
    });
    await writeFile(file, 's3cret\n');
    await open().check(asking('s3cret'), GET);
    await assert.rejects(open().check(asking('other'), GET), is('unauthenticated'));
    await writeFile(file, '\n');
    await assert.rejects(open().check(asking('s3cret'), GET), is('unauthenticated'));
  });

  it('a mode without its file, or a file without its mode, is refused', () => {
    assert.throws(
      () => gateOf(config('token'), options),
      /--operator-token-file goes with --operator-auth token/,
    );
    assert.throws(() => gateOf(config('kubernetes', '/x'), options), /which is "kubernetes" here/);
  });
});
