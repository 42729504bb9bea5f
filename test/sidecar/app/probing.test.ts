/** The sidecar's own readiness check of the app, against real listeners of each kind. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { startAppProbe, waitForApp, type AppProbe } from '../../../sidecar/app/app-probe.ts';
import { checkProbe } from '../../../sidecar/app/probe-checks.ts';
import { parseProbe, type CheckSpec } from '../../../sidecar/app/probe-spec.ts';
import { parseReadiness } from '../../../sidecar/app/readiness.ts';
import { isFasterThan, waitFor } from '../../helpers/wait.ts';
import { App, APP_HOST } from '../support/app.ts';
import { healthServer } from '../support/health-server.ts';
import { metricIs, sidecarFor } from '../support/sidecar.ts';

const timing = { timeoutMs: 1_000, successThreshold: 1, delayMs: 0, periodMs: 10_000 };
const never = new AbortController().signal;

function check(probe: unknown, appPort: number): Promise<boolean> {
  return checkProbe(parseProbe(JSON.stringify(probe), appPort) as CheckSpec, APP_HOST);
}

describe('app probe: a check that failed says what it found', () => {
  const wordsFor = async (probe: unknown, port: number): Promise<string[]> => {
    const words: string[] = [];
    const spec = parseProbe(JSON.stringify(probe), port) as CheckSpec;
    await checkProbe(spec, APP_HOST, (why) => words.push(why));
    return words;
  };

  it('names the port, or the probe, and what came instead', async () => {
    const gone = await new App((_req, res) => res.end()).listen();
    const { port } = gone;
    await gone[Symbol.asyncDispose]();
    const refused = `port ${port} refuses connections: ECONNREFUSED`;
    assert.deepEqual(await wordsFor({ tcpSocket: { port } }, port), [refused]);
    assert.deepEqual(await wordsFor({ httpGet: { path: '/up', port } }, port), [refused]);
    await using app = await new App((_req, res) => res.writeHead(503).end()).listen();
    const http = { httpGet: { path: '/up', port: app.port } };
    const answered = `its readiness probe, GET /up on port ${app.port}, answers 503`;
    assert.deepEqual(await wordsFor(http, app.port), [answered]);
    const grpc = `its readiness probe, the gRPC health check on port ${port}, does not pass`;
    assert.deepEqual(await wordsFor({ grpc: { port } }, port), [grpc]);
  });

  it('and says how long it waited for one that does not answer', async () => {
    await using app = await new App(() => undefined).listen();
    const [why] = await wordsFor({ httpGet: { path: '/', port: app.port }, timeoutSeconds: 1 }, app.port);
    assert.equal(why, `its readiness probe, GET / on port ${app.port}, has no answer within 1 s`);
  });
});

describe('app probe: what to check', () => {
  it('is a TCP connect without a probe, and nothing without a port', () => {
    assert.deepEqual(parseProbe('', 80), { kind: 'tcp', port: 80, timing });
    assert.deepEqual(parseProbe('', 0), { kind: 'none' });
  });

  it('is the user’s httpGet with scheme, headers, path and port', () => {
    const probe = {
      httpGet: { path: 'ready', port: 8081, scheme: 'HTTPS', httpHeaders: [{ name: 'X-A', value: 'b' }] },
      timeoutSeconds: 3,
      successThreshold: 2,
      initialDelaySeconds: 30,
    };
    assert.deepEqual(parseProbe(JSON.stringify(probe), 80), {
      kind: 'http',
      port: 8081,
      path: '/ready',
      isHttps: true,
      headers: ['X-A', 'b'],
      timing: { ...timing, timeoutMs: 3_000, successThreshold: 2 },
    });
  });

  it('is the user’s tcpSocket or grpc, and Kubernetes’ own for exec', () => {
    assert.deepEqual(parseProbe('{"tcpSocket":{"port":3306}}', 0), { kind: 'tcp', port: 3306, timing });
    const grpc = parseProbe('{"grpc":{"port":9000,"service":"s"}}', 80);
    assert.deepEqual(grpc, { kind: 'grpc', port: 9000, service: 's', timing });
    assert.deepEqual(parseProbe('{"exec":{"command":["true"]}}', 80), { kind: 'kubernetes' });
  });

  it('is refused when it is no JSON object', () => {
    for (const bad of ['{', '[]', '7'])
      assert.throws(
        () => parseProbe(bad, 80),
        (error) => error instanceof UsageError && error.message.startsWith('SLIMFAAS_READINESS_PROBE: '),
      );
  });
});

describe('app probe: checking', () => {
  it('http: 200–399 passes, anything else and silence do not', async () => {
    await using app = await new App((req, res) => {
      const status = Number(req.url?.slice(1));
      if (status > 0) res.writeHead(status, { Location: '/elsewhere' }).end();
    }).listen();
    const results: boolean[] = [];
    for (const status of [200, 204, 302, 399, 400, 404, 500, 503]) {
      results.push(await check({ httpGet: { path: `/${status}`, port: app.port } }, 0));
    }
    assert.deepEqual(results, [true, true, true, true, false, false, false, false]);
    assert.equal(await check({ httpGet: { path: '/0', port: app.port }, timeoutSeconds: 0.1 }, 0), false);
  });

  it('http: sends the user’s headers, and says that it is a probe', async () => {
    let seen: string[] = [];
    await using app = await new App((req, res) => {
      seen = req.rawHeaders;
      res.end();
    }).listen();
    const httpHeaders = [{ name: 'Host', value: 'app.example' }];
    await check({ httpGet: { path: '/', port: app.port, httpHeaders } }, 0);
    assert.ok(seen.includes('app.example') && seen.some((text) => text.startsWith('kube-probe/')));
  });

  it('tcp: passes as soon as somebody listens', async () => {
    await using app = await new App().listen();
    const { port } = app;
    assert.equal(await check({ tcpSocket: { port } }, 0), true);
    await app.close();
    assert.equal(await check({ tcpSocket: { port } }, 0), false);
  });

  it('grpc: passes when the service says SERVING', async () => {
    const asked: string[] = [];
    const statuses: Record<string, number> = { '': 1, good: 1, bad: 2 };
    await using server = await healthServer(APP_HOST, asked, statuses);
    const results = await Promise.all(
      ['', 'good', 'bad', 'unknown'].map((service) => check({ grpc: { port: server.port, service } }, 0)),
    );
    assert.deepEqual(results, [true, true, false, false]);
    assert.deepEqual(asked.toSorted(), ['', 'bad', 'good', 'unknown']);
    await server[Symbol.asyncDispose]();
    assert.equal(await check({ grpc: { port: server.port } }, 0), false);
  });
});

describe('app probe: waiting', () => {
  /** Every moment of a check, in ms from the start, while `until` says that it must go on. */
  async function momentsOf(
    t: TestContext,
    more: Partial<AppProbe>,
    passes: (now: number) => boolean,
  ): Promise<number[]> {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const at: number[] = [];
    let now = 0;
    const over = new AbortController();
    const check = async () => (at.push(now), passes(now));
    void waitForApp({ successThreshold: 1, delayMs: 0, periodMs: 10_000, check, ...more }, never).then(() =>
      over.abort(),
    );
    for (; !over.signal.aborted; now++) {
      for (let i = 0; i < 4; i++) await Promise.resolve();
      t.mock.timers.tick(1);
    }
    return at;
  }

  it('takes successThreshold successes in a row, a period apart, as the kubelet does', async (t) => {
    const results = [true, false, true, true, true];
    let checks = 0;
    const at = await momentsOf(t, { successThreshold: 3, periodMs: 2_000 }, () => results[checks++] ?? false);
    assert.equal(checks, 5);
    const pauses = at.slice(1).map((time, i) => time - (at[i] as number));
    assert.ok(
      pauses.slice(2).every((pause) => pause >= 2_000),
      pauses.join(' '),
    );
  });

  it('asks often in the first second, and after that no more often than every 100 ms', async (t) => {
    const at = await momentsOf(t, {}, (now) => now >= 3_000);
    const pauses = at.slice(1).map((time, i) => ({ time, ms: time - (at[i] as number) }));
    const early = pauses.filter(({ time }) => time < 1_000).map(({ ms }) => ms);
    assert.ok((early[0] as number) <= 11 && Math.max(...early) <= 51, early.join(' '));
    assert.ok(early.length >= 20);
    const late = pauses.filter(({ time }) => time > 1_150).map(({ ms }) => ms);
    assert.ok(Math.min(...late) >= 100 && late.length >= 15, late.join(' '));
  });

  it('does not connect before the initialDelaySeconds of a tcpSocket probe: a connect alone says little', async (t) => {
    const spec = parseProbe('{"tcpSocket":{"port":80},"initialDelaySeconds":11}', 80) as CheckSpec;
    const at = await momentsOf(t, spec.timing, () => true);
    assert.ok(at.length === 1 && (at[0] as number) >= 11_000, at.join(' '));
    const http = parseProbe('{"httpGet":{"port":80},"initialDelaySeconds":11}', 80) as CheckSpec;
    assert.equal(http.timing.delayMs, 0, 'an answer says that it is ready');
  });

  it('stops when told', async () => {
    const stopping = new AbortController();
    const probe = { ...timing, check: async () => false };
    const waiting = waitForApp(probe, stopping.signal);
    stopping.abort();
    assert.equal(await waiting, false);
  });

  it('does not ask where there is nothing to ask or only Kubernetes may', async () => {
    assert.equal(await startAppProbe({ kind: 'checks', containers: [] }, '127.0.0.1', never), 'passed');
    assert.equal(await startAppProbe({ kind: 'kubernetes' }, '127.0.0.1', never), 'kubernetes');
  });

  it('startup comes before readiness, and every container has to pass', async () => {
    const states = { started: false, cache: false };
    const asked = new Set<string>();
    await using app = await new App((req, res) => {
      asked.add(req.url ?? '');
      const isUp = req.url === '/started' ? states.started : req.url === '/cache' ? states.cache : true;
      res.writeHead(isUp ? 200 : 503).end();
    }).listen();
    const get = (path: string) => ({ httpGet: { path, port: app.port } });
    const probes = JSON.stringify([
      { startup: get('/started'), readiness: get('/ready') },
      { readiness: get('/cache') },
    ]);
    await using sidecar = await sidecarFor(app.port, { flags: { probes }, noWait: true });
    const refusal = async () => (await sidecar.proxyCall('/call')).headers['slimfaas-refused'];
    await waitFor(() => asked.has('/started') && asked.has('/cache'), { what: 'both are probed' });
    assert.equal(asked.has('/ready'), false, 'it has not started');
    states.started = true;
    await waitFor(() => asked.has('/ready'), { what: 'its readiness is probed' });
    assert.equal(await refusal(), 'starting', 'the second container is not ready');
    states.cache = true;
    await waitFor(async () => (await refusal()) === undefined, { what: 'it takes calls' });
  });

  it('what the webhook writes is read, and what is none of it is refused', () => {
    assert.deepEqual(parseReadiness('kubernetes', '', 80), { kind: 'kubernetes' });
    assert.deepEqual(parseReadiness('[]', '', 80), { kind: 'checks', containers: [] });
    const container = { startup: { grpc: { port: 9 } }, readiness: { tcpSocket: { port: 8 } } };
    assert.deepEqual(parseReadiness(JSON.stringify([container]), '{"exec":{}}', 80), {
      kind: 'checks',
      containers: [
        {
          startup: { kind: 'grpc', port: 9, service: '', timing },
          readiness: { kind: 'tcp', port: 8, timing },
        },
      ],
    });
    for (const bad of ['{', '7', '[7]', '[{"startup":{"exec":{}}}]', '[{"readiness":3}]'])
      assert.throws(
        () => parseReadiness(bad, '', 80),
        (error) => error instanceof UsageError && error.message.startsWith('SLIMFAAS_PROBES: '),
        bad,
      );
  });

  it('a webhook of 0.1.0 writes one readinessProbe', () => {
    assert.deepEqual(parseReadiness('', '', 0), { kind: 'checks', containers: [] });
    assert.deepEqual(parseReadiness('', '', 80), {
      kind: 'checks',
      containers: [{ readiness: { kind: 'tcp', port: 80, timing } }],
    });
    assert.deepEqual(parseReadiness('', '{"exec":{}}', 80), { kind: 'kubernetes' });
  });

  it('a workload that speaks no HTTP is ready by its own probe, and a call to it says so', async () => {
    await using database = await new App().listen();
    const flags = { 'app-port': 0, 'readiness-probe': `{"tcpSocket":{"port":${database.port}}}` };
    await using sidecar = await sidecarFor(0, { flags });
    const answer = await sidecar.call();
    assert.equal(answer.status, 502);
    assert.match(answer.body, /no HTTP port/);
  });

  it('the app is called within some milliseconds of its first success', async () => {
    const measure = async (): Promise<number> => {
      await using app = await new App().listen();
      const { port } = app;
      await app.close();
      await using sidecar = await sidecarFor(port, { noWait: true });
      const waiting = sidecar.call().then(() => performance.now());
      await metricIs(sidecar, 'slimfaas_sidecar_waiting', 1);
      await app.listen(port);
      const listeningAt = performance.now();
      return (await waiting) - listeningAt;
    };
    await isFasterThan(250, measure, { what: 'the first call after listening, with a check every 50 ms,' });
  });
});
