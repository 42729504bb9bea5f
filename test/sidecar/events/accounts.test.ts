/**
 * Events where sidecars have an account of their own and may do what common/bus/permissions.ts says, and not more. The
 * server writes down what it refuses; with a real sidecar and what a scaler does that is nothing.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inboxPrefix, rolePermissions, sidecarPermissions } from '../../../common/bus/permissions.ts';
import { connect } from '../../../common/bus/nats-library.ts';
import { openNatsLink, type NatsConnection, type NatsLink } from '../../../common/bus/nats.ts';
import { eventSubject, functionSubject } from '../../../common/bus/subjects.ts';
import { encodeJob } from '../../../common/queue/job.ts';
import { eventConsumerName } from '../../../common/queue/jetstream/names.ts';
import {
  consumerConfig,
  EVENTS_STREAM,
  JOBS_STREAM,
  streamConfigs,
} from '../../../common/queue/jetstream/streams.ts';
import type { ConsumerInfo, JetStreamManager } from '../../../common/queue/jetstream/library.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { waitForKubeReady } from '../../../sidecar/life/kube-ready.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { accountsConfig, keyLogin, userKey } from '../../helpers/nats-accounts.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../support/app.ts';
import { startEventScaler, type EventScaler } from '../support/event-scaler.ts';
import { policy } from '../support/job-world.ts';
import { sidecarFor } from '../support/sidecar.ts';

const FN = { namespace: 'ns', name: 'fn' };
const POD = { namespace: 'ns', function: 'fn', pod: 'fn-1' };
const keys = { scaler: userKey(), pod: userKey() };

let dir: string;
let server: TestNats;
let admin: NatsConnection;
let jsm: JetStreamManager;
let scaler: EventScaler;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'slimfaas-accounts-'));
  const users = accountsConfig([
    { account: 'core', user: 'admin', permissions: undefined },
    { account: 'core', user: 'scaler', permissions: rolePermissions('scaler'), key: keys.scaler },
    { account: 'functions', user: 'pod', permissions: sidecarPermissions(POD), key: keys.pod },
  ]);
  server = await startNats({ config: `log_file: ${JSON.stringify(join(dir, 'log'))}\n${users}` });
  admin = await connect({ servers: server.url, user: 'admin', pass: 'secret' });
  jsm = await admin.jetstreamManager();
  for (const config of streamConfigs(jobSettings)) await jsm.streams.add(config);
  await jsm.consumers.add(JOBS_STREAM, consumerConfig(FN, jobSettings, false));
  const prefix = inboxPrefix({ role: 'scaler', pod: 'scaler-1' });
  scaler = await startEventScaler({
    nats: openNatsLink({
      servers: server.url,
      name: 'scaler',
      log: silentLog,
      login: keyLogin(keys.scaler),
      inboxPrefix: prefix,
    }),
  });
});

after(async () => {
  await scaler[Symbol.asyncDispose]();
  await admin.close();
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

function podLink(): NatsLink {
  return openNatsLink({
    servers: server.url,
    name: 'sidecar',
    log: silentLog,
    login: keyLogin(keys.pod),
    inboxPrefix: inboxPrefix({ role: 'sidecar', ...POD }),
  });
}

function podOf(appPort: number, flags: Readonly<Record<string, string | number>> = {}) {
  const given = { auth: 'required', 'subscribe-events': 'paid', ...flags };
  return sidecarFor(appPort, { link: podLink(), flags: given });
}

let sent = 0;

async function send(path: string): Promise<void> {
  const secret = String(++sent).padStart(32, '0');
  const head = { secret, method: 'POST', path, headers: [], acceptedAtMs: Date.now(), event: 'paid' };
  await admin.jetstream().publish(eventSubject(FN, 'paid'), encodeJob(head, Buffer.alloc(0)));
}

const reader = (): Promise<ConsumerInfo | undefined> =>
  jsm.consumers.info(EVENTS_STREAM, eventConsumerName('ns', 'fn-1')).catch(() => undefined);

async function isRead(): Promise<void> {
  await waitFor(reader, { what: 'the scaler has made the consumer' });
}

async function jobs(): Promise<number> {
  const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: functionSubject('job', FN) });
  return state.messages;
}

/** Lines of the server's log. */
async function violations(): Promise<string[]> {
  const log = await readFile(join(dir, 'log'), 'utf8');
  return log.split('\n').filter((line) => line.includes('Violation'));
}

describe('events with tight permissions', () => {
  it('are read by a consumer that the scaler makes, tried again, and become jobs at the end', async () => {
    let fails = 1;
    await using app = await new App((req, res) => {
      if (req.url === '/holds') return;
      res.writeHead(req.url === '/fails' && fails-- > 0 ? 500 : 200).end();
    }).listen();
    const sidecar = await podOf(app.port, { 'publish-policy': policy([0.05], 60), 'drain-seconds': 1 });
    await isRead();
    await send('/once');
    await send('/fails');
    const done = () => sidecar.metric('slimfaas_sidecar_events_total', 'outcome="done"');
    await waitFor(async () => (await done()) === 2, { what: 'both are done' });
    assert.equal(app.count, 3);
    await waitFor(async () => (await reader())?.num_ack_pending === 0, { what: 'both are acknowledged' });
    await send('/holds');
    await waitFor(() => app.count === 4, { what: 'one runs' });
    await sidecar.stop();
    await waitFor(async () => (await jobs()) === 1, { what: 'it becomes a job at once' });
    await send('/late');
    await waitFor(
      async () => {
        await scaler.look();
        return (await reader()) === undefined;
      },
      { what: 'the consumer goes', timeoutMs: 60_000 },
    );
    assert.equal(await jobs(), 2, 'with what came late');
    assert.deepEqual(await violations(), []);
  });

  it('a consumer that somebody deleted is made again', async () => {
    await using app = await new App((_req, res) => void res.end()).listen();
    await using _sidecar = await podOf(app.port);
    await isRead();
    await jsm.consumers.delete(EVENTS_STREAM, eventConsumerName('ns', 'fn-1'));
    await server.restart(); // a reconnect is when it looks first
    await waitFor(reader, { what: 'it is there again', timeoutMs: 60_000 });
    await waitFor(() => send('/next').then(() => true), { what: 'JetStream takes events' });
    await waitFor(() => app.arrivals.some(({ url }) => url === '/next'), { what: 'it is run' });
  });

  it('whether Kubernetes calls the pod ready is asked, and a server that refuses would have said so', async () => {
    const link = podLink();
    await waitFor(() => link.isConnected, { what: 'connected' });
    const self = { id: FN, pod: 'fn-1' };
    const { signal } = new AbortController();
    const ask = { nats: link, self, signal, silenceMs: 1 };
    assert.equal(await waitForKubeReady({ ...ask, asksOlder: false }), true);
    await link.connection?.flush();
    const before = await violations();
    await waitForKubeReady({ ...ask, asksOlder: true });
    await waitFor(async () => (await violations()).length > before.length, {
      what: 'that is no right of a pod',
    });
    assert.ok((await violations()).at(-1)?.includes('slimfaas.pod-ready'));
    assert.ok(!before.some((line) => line.includes('slimfaas.')), before.join());
    await link.stop();
  });
});
