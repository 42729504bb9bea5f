/**
 * Keys and certificates of identities are replaced under load, as docs/security.md says, in a release where NATS asks for
 * them: no call fails, and every job that was accepted ends.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { send } from '../helpers/send.ts';
import type { Caller } from './harness/caller.ts';
import { createClients } from './harness/clients.ts';
import { installRelease, makeEmptyVolumes, removeRelease, type Release } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { openWorldOf, until, type Deployed, type World } from './harness/world.ts';

const context = readContext();
const { settings } = context;
const clients = createClients(settings, context.apiUrl);
const release: Release = {
  system: `${settings.prefix}-keys`,
  functions: [`${settings.prefix}-keys-fn`],
};

/** Says which certificate NATS shows, from within its pod. */
const SHOWN = `
const net = require('net'), tls = require('tls');
const plain = net.connect(4222, '127.0.0.1');
plain.once('data', () => {
  const socket = tls.connect({ socket: plain, rejectUnauthorized: false }, () => {
    console.log(socket.getPeerCertificate().fingerprint256);
    process.exit(0);
  });
});`;

describe('keys of identities are replaced under load', { concurrency: false }, () => {
  let world: World;
  let shop: Deployed;
  let caller: Caller;
  before(async () => {
    await makeEmptyVolumes(clients, context, release);
    await installRelease(clients, context, release, { values: { auth: 'required' } });
    world = await openWorldOf(clients, context, release);
    shop = await world.deploy({ name: 'shop', annotations: { ReplicasMin: 2 }, replicas: 2 });
    await shop.waitForReady(2);
    caller = await world.caller();
  });
  after(() => removeRelease(clients, release));

  const secret = async (name: string): Promise<Record<string, string>> =>
    (await world.get(`/api/v1/namespaces/${release.system}/secrets/${name}`))?.['data'] as Record<
      string,
      string
    >;

  async function change(name: string, data: Record<string, string | null>): Promise<void> {
    const path = `/api/v1/namespaces/${release.system}/secrets/${name}`;
    const { status, text } = await world.send('PATCH', path, { data }, 'application/merge-patch+json');
    assert.equal(status, 200, text);
  }

  /** Takes entries out, and hands back once others are there. */
  async function takeOut(...entries: string[]): Promise<void> {
    const before = await secret('slimfaas-identity');
    await change('slimfaas-identity', Object.fromEntries(entries.map((entry) => [entry, null])));
    await until(
      async () => {
        const now = await secret('slimfaas-identity');
        return entries.every((entry) => now[entry] !== undefined && now[entry] !== before[entry]);
      },
      `${entries.join(', ')} are made again`,
      60_000,
    );
  }

  async function postJob(): Promise<string> {
    const url = `${world.proxyUrl}/async-function/${shop.route}/hello`;
    let posted = await send(url, { method: 'POST' });
    // 503: NATS is away, and the caller knows that its job was not taken.
    await until(
      async () => posted.status === 201 || (posted = await send(url, { method: 'POST' })).status === 201,
      'a job is taken',
      90_000,
    );
    return String(posted.headers['slimfaas-element-id']);
  }

  async function jobEnds(id: string): Promise<void> {
    const url = `${world.proxyUrl}/async-function-job/${shop.route}/${id}`;
    await until(async () => /"state":"done"/.test((await send(url)).body), `job ${id} is done`, 90_000);
  }

  /** Calls and jobs go on while `rotate` runs, and for a moment after it. */
  async function underLoad(rotate: () => Promise<unknown>): Promise<string> {
    const order = { url: `${world.insideUrl}/function/${shop.route}/work/50`, callers: 4, paceMs: 60 };
    const load = await caller.load(order);
    const posted: string[] = [];
    const over = new AbortController();
    const posting = (async () => {
      while (!over.signal.aborted) {
        posted.push(await postJob());
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    })();
    try {
      await rotate();
      await jobEnds(await postJob());
    } finally {
      over.abort();
      await posting;
    }
    const { calls, failures, p99 } = await load.stop();
    assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${calls} calls failed`);
    await Promise.all(posted.map(jobEnds));
    return `${calls} calls, none failed, p99 ${p99} ms; ${posted.length} jobs, all done`;
  }

  const inNats = (container: string, ...command: string[]): Promise<string> =>
    world.kubectl(['exec', '-n', release.system, 'slimfaas-nats-0', '-c', container, '--', ...command]);

  it('signing keys, the account of sidecars, the certificate of NATS: nobody restarts anything', async (t) => {
    const shown = await inNats('reload', 'node', '-e', SHOWN);
    const said = await underLoad(async () => {
      await takeOut('signer.nk', 'functions-signer.nk', 'functions.nk');
      await change('slimfaas-identity-tls', { 'tls.key': '' });
      // The kubelet writes a changed Secret into a pod within a minute and a half.
      await until(
        async () => (await inNats('reload', 'node', '-e', SHOWN)) !== shown,
        'NATS shows another certificate',
        150_000,
      );
    });
    t.diagnostic(said);
  });

  it('the key of proofs: functions are restarted', async (t) => {
    const said = await underLoad(async () => {
      await takeOut('grant.key');
      await world.kubectl(['rollout', 'restart', '-n', world.namespace, 'deployment/shop']);
      await world.kubectl(['rollout', 'status', '-n', world.namespace, 'deployment/shop', '--timeout=90s']);
    });
    t.diagnostic(said);
  });

  it('operator and system account: NATS is restarted', async (t) => {
    const said = await underLoad(async () => {
      await takeOut('operator.nk', 'system-account.nk');
      await world.kubectl(['rollout', 'restart', '-n', release.system, 'statefulset/slimfaas-nats']);
      const wait = ['rollout', 'status', '-n', release.system, 'statefulset/slimfaas-nats', '--timeout=90s'];
      await world.kubectl(wait);
    });
    t.diagnostic(said);
  });
});
