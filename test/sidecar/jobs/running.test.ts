/** BEHAVIOURS.md, "Jobs", as one pod lives them: a real JetStream, a real sidecar, a real app. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readDeadHistory } from '../../../common/queue/jetstream/dead-letter.ts';
import { storeBody } from '../../../common/queue/jetstream/bodies/body-store.ts';
import { encodeState } from '../../../common/queue/state.ts';
import { decodeActivity, type ActivityMessage } from '../../../common/bus/messages.ts';
import { BODIES_STREAM, JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { functionSubject, jobQuestionSubject, resultSubject } from '../../../common/bus/subjects.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { FN, policy, startJobWorld } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';

describe('jobs in a sidecar', () => {
  it('a job is brought to the app with its id and try number, and leaves a result', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res) => {
      res.writeHead(201, { 'X-Answer': 'yes' });
      res.end('made');
    }).listen();
    await world.sidecar(app.port);
    const job = await world.publish({ path: '/a%20b?q=1', headers: ['X-Odd', 'a', 'x-odd', 'b'] }, 'body');
    const state = await world.ended(job);
    assert.ok(state.state === 'done' && state.result);
    assert.equal(state.result.status, 201);
    assert.equal(Buffer.from(state.result.body, 'base64').toString(), 'made');
    assert.equal(state.tries.length, 1);
    assert.equal(state.tries[0]?.pod, 'fn-1');
    const [request] = app.requests;
    assert.equal(request?.line, 'POST /a%20b?q=1');
    assert.equal(request?.header('slimfaas-element-id'), job.id);
    assert.equal(request?.header('slimfaas-try-number'), '0');
    assert.equal(request?.header('slimfaas-last-try'), 'false');
    await waitFor(async () => (await world.depth()) === 0, { what: 'the job has left the queue' });
  });

  it('a report says how many of what runs are jobs, so that the scaler does not count one in two places', async () => {
    await using world = await startJobWorld();
    const held: (() => void)[] = [];
    await using app = await new Recorder((_req, res) => void held.push(() => res.end())).listen();
    await world.sidecar(app.port);
    const heard: ActivityMessage[] = [];
    world.jetstream.link.subscribe(functionSubject('activity', FN), (_subject, data) => {
      heard.push(decodeActivity(data));
    });
    await world.publish();
    const busy = await waitFor(() => heard.find(({ runningNow }) => runningNow > 0), { what: 'a report' });
    assert.deepEqual([busy.runningNow, busy.jobs], [1, 1]);
    for (const end of held) end();
    await waitFor(() => heard.some(({ finished, jobs }) => finished === 1 && jobs === 0), {
      what: 'it is over',
    });
  });

  it('behaviour 28: 500 three times, then 200: tries after the policy delays, one result', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res, nth) => {
      res.statusCode = nth <= 3 ? 500 : 200;
      res.end(`answer ${nth}`);
    }).listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.2, 0.4, 0.8]) });
    const state = await world.ended(await world.publish());
    assert.deepEqual(
      app.requests.map((request) => request.header('slimfaas-try-number')),
      ['0', '1', '2', '3'],
    );
    assert.deepEqual(
      app.requests.map((request) => request.header('slimfaas-last-try')),
      ['false', 'false', 'false', 'true'],
    );
    const waited = app.requests.slice(1).map((request, i) => request.atMs - (app.requests[i]?.atMs ?? 0));
    for (const [i, least] of [200, 400, 800].entries()) assert.ok((waited[i] ?? 0) >= least, `${waited}`);
    assert.deepEqual(
      state.tries.map((tried) => tried.status),
      [500, 500, 500, 200],
    );
    assert.ok(state.state === 'done' && state.result?.status === 200);
  });

  it('behaviour 29: 500 for ever: a dead letter with the history of four tries', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res) => {
      res.statusCode = 500;
      res.end('no');
    }).listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.05, 0.1, 0.15]) });
    const job = await world.publish({ path: '/why' }, 'the body');
    const state = await world.ended(job, 'dead');
    assert.ok(state.state === 'dead' && state.why === 'status 500');
    const [letter] = await world.deadLetters();
    assert.ok(letter);
    const history = readDeadHistory(letter);
    assert.equal(history.sequence, job.seq);
    assert.deepEqual(
      history.tries.map(({ pod, status, error }) => ({ pod, status, error })),
      Array.from({ length: 4 }, () => ({ pod: 'fn-1', status: 500, error: 'status 500' })),
    );
    for (const tried of history.tries) assert.ok(tried.endedAtMs >= tried.startedAtMs);
    await waitFor(async () => (await world.depth()) === 0, { what: 'it has left the queue' });
    assert.equal(app.requests.length, 4);
  });

  it('a status that is not listed is final, whatever it is', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res) => {
      res.statusCode = 404;
      res.end();
    }).listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.05]) });
    const state = await world.ended(await world.publish());
    assert.ok(state.state === 'done' && state.result?.status === 404);
    assert.equal(app.requests.length, 1);
  });

  it('HttpTimeout counts as a failed try and is retried', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res, nth) => {
      if (nth > 1) res.end('late but there');
    }).listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.05], 1.5) });
    const state = await world.ended(await world.publish());
    assert.equal(state.tries.length, 2);
    assert.match(state.tries[0]?.error ?? '', /no answer within 1.5 s/);
  });

  it('retry-jitter spreads the next tries over what comes after the delay; without it they are exact', async () => {
    const delays = async (flags: Record<string, string | number>): Promise<number[]> => {
      await using world = await startJobWorld();
      await using app = await new App((_req, res) => void res.writeHead(500).end()).listen();
      await world.sidecar(app.port, { 'async-policy': policy([60]), ...flags });
      const jobs = await Promise.all(Array.from({ length: 8 }, () => world.publish()));
      const states = await Promise.all(jobs.map((job) => world.ended(job, 'retrying')));
      return states.map((state) =>
        state.state === 'retrying' ? state.nextTryAtMs - (state.tries[0]?.endedAtMs ?? 0) : 0,
      );
    };
    // A record is written within a moment of the try's end; the spread is over 60 s.
    for (const delay of await delays({})) assert.ok(delay >= 60_000 && delay < 65_000, `${delay} ms`);
    const spread = await delays({ 'retry-jitter': 100 });
    assert.ok(spread.every((delay) => delay >= 60_000 && delay < 125_000));
    assert.ok(Math.max(...spread) > 65_000, `${spread}: less likely by chance than 1 in 400 million`);
  });

  it('429 and 503 with Retry-After are heeded, also where the policy is quicker', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res, nth) => {
      if (nth === 1) res.writeHead(429, { 'Retry-After': '1' });
      res.end();
    }).listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.05]) });
    await world.ended(await world.publish());
    const [first, second] = app.requests;
    assert.ok(first && second && second.atMs - first.atMs >= 1_000);
  });

  it('behaviour 31: method, odd headers, duplicates and a binary body are byte-equal at the function', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res) => res.end()).listen();
    await world.sidecar(app.port);
    const headers = ['X-B', 'caf\u00e9', 'x-b', 'two', 'Cookie', 'a=1', 'Host', 'odd.example', 'X-Empty', ''];
    const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (const method of ['GET', 'HEAD', 'DELETE', 'POST', 'PURGE']) {
      const sent = method === 'POST' ? body : Buffer.alloc(0);
      await world.ended(await world.publish({ method, path: `/${method}//..;x?%zz`, headers }, sent));
      const got = app.requests.at(-1);
      assert.equal(got?.line, `${method} /${method}//..;x?%zz`);
      assert.deepEqual(got?.headers.slice(0, headers.length), headers);
      assert.deepEqual(got?.body, sent);
    }
  });

  it('behaviour 32: a 50 MB body arrives equal and is gone from the store afterwards', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res) => res.end(), { keepBodies: false }).listen();
    await world.sidecar(app.port);
    const chunk = Buffer.alloc(1_000_000, 'slimfaas');
    const chunks = async function* (): AsyncGenerator<Buffer> {
      for (let i = 0; i < 50; i++) yield chunk;
    };
    const object = await storeBody(world.jetstream, 'body-1', chunks(), 1e9);
    await world.ended(await world.publish({ object }), 'done', 30_000);
    assert.equal(app.requests[0]?.bodyBytes, 50_000_000);
    assert.equal(app.requests[0]?.bodyHash, Recorder.hashOf(chunk, 50));
    await waitFor(async () => (await world.jetstream.jsm.streams.info(BODIES_STREAM)).state.messages === 0, {
      what: 'the body is gone',
    });
  });

  it('a body that is gone is charged to the job, so that it reaches the dead letters', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res) => res.end()).listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.05]) });
    const job = await world.publish({ object: { name: 'never-stored', size: 10 } });
    const state = await world.ended(job, 'dead');
    assert.ok(state.state === 'dead' && /0 of 10 bytes/.test(state.why), JSON.stringify(state));
  });

  it('an app that does not listen is no try: the job waits for it, and no other pod is asked who has it', async () => {
    await using world = await startJobWorld();
    let asked = 0;
    world.jetstream.link.subscribe(jobQuestionSubject(FN), () => void asked++);
    await using app = await new App((_req, res) => res.end('ok')).listen();
    const { port } = app;
    const sidecar = await world.sidecar(port, { 'async-policy': policy([0.05]) });
    await app.close();
    const job = await world.publish();
    await waitFor(async () => (await sidecar.metric('slimfaas_sidecar_jobs_total', 'given-back')) >= 2, {
      what: 'it was given back twice',
    });
    await app.listen(port);
    const state = await world.ended(job);
    assert.equal(state.tries.length, 1);
    assert.equal(asked, 0);
  });

  it('a payload that cannot be read becomes a dead letter at once, with why', async () => {
    await using world = await startJobWorld();
    await using app = await new App().listen();
    await world.sidecar(app.port);
    await world.jetstream.js.publish(functionSubject('job', FN), Buffer.from('no job'));
    const [letter] = await waitFor(
      async () => {
        const letters = await world.deadLetters();
        return letters.length > 0 ? letters : undefined;
      },
      { what: 'a dead letter' },
    );
    assert.ok(letter);
    assert.match(readDeadHistory(letter).why, /cut off/);
    assert.equal(Buffer.from(letter.data).toString(), 'no job');
    await waitFor(async () => (await world.depth()) === 0, { what: 'it has left the queue' });
    assert.equal(app.count, 0);
  });

  it('cancelled or ended meanwhile: not run again; the record of an earlier stream’s job of that number is no such end', async () => {
    for (const [isOurs, runs] of [
      [true, 0],
      [false, 1],
    ] as const) {
      await using world = await startJobWorld();
      await using app = await new App().listen();
      const job = await world.publish();
      const { js } = world.jetstream;
      // Delivered once to nobody, so that the next delivery is not the first.
      const consumer = await js.consumers.get(JOBS_STREAM, 'ns__fn');
      (await consumer.next({ expires: 2_000 }))?.nak();
      const secret = isOurs ? job.secret : 'f'.repeat(32);
      const state = { state: 'cancelled', secret, acceptedAtMs: 1, tries: [] } as const;
      await js.publish(resultSubject(FN, job.seq), encodeState(state));
      await world.sidecar(app.port);
      await waitFor(async () => (await world.depth()) === 0, { what: 'it is gone' });
      assert.equal(app.count, runs);
    }
  });

  it('a server that was killed hands out as new what is done: the record is looked at, and it is not run again', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port, { 'parallel-per-pod': 1 });
    const first = await world.publish();
    await waitFor(() => held.length === 1, { what: 'the one place is taken' });
    const job = await world.publish();
    const state = {
      state: 'done',
      secret: job.secret,
      acceptedAtMs: 1,
      tries: [],
      result: undefined,
    } as const;
    await world.jetstream.js.publish(resultSubject(FN, job.seq), encodeState(state));
    await world.jetstream.server.restart();
    const where = { kind: 'where', elementId: first.id } as const;
    await waitFor(async () => (await world.ask(where)) === 'running', { what: 'the sidecar is back' });
    releaseAll();
    await waitFor(async () => (await world.depth()) === 0, { what: 'both are gone', timeoutMs: 30_000 });
    assert.equal(app.count, 1);
  });

  it('running is what the scaler hears: a job counts as running, started and finished', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    const heard: { runningNow: number; started: number; finished: number }[] = [];
    world.jetstream.link.subscribe(functionSubject('activity', FN), (_, data) => {
      heard.push(JSON.parse(Buffer.from(data).toString()) as (typeof heard)[number]);
    });
    const sidecar = await world.sidecar(app.port);
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await waitFor(() => heard.some((report) => report.runningNow === 1), {
      what: 'it is reported as running',
    });
    assert.equal(await sidecar.metric('slimfaas_sidecar_jobs_running'), 1);
    releaseAll();
    await world.ended(job);
    await waitFor(() => heard.reduce((sum, report) => sum + report.finished, 0) === 1, { what: 'finished' });
    assert.equal(
      heard.reduce((sum, report) => sum + report.started, 0),
      1,
    );
    assert.equal(await sidecar.metric('slimfaas_sidecar_jobs_total', 'outcome="done"'), 1);
    assert.equal(await sidecar.metric('slimfaas_sidecar_job_tries_total'), 1);
  });
});
