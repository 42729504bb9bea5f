/** The whole system where NATS asks everybody who they are: `auth: required` of the chart. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { connect } from 'nats';
import { waitFor } from '../helpers/wait.ts';
import { NAMESPACE } from './functions.ts';
import { send, startWorld, type World } from './world.ts';

interface Load {
  /** Calls that were answered so far. */
  readonly calls: number;
  /** Waits for one more job that is posted from now on. */
  jobEnds(): Promise<void>;
  /** @returns what failed */
  stop(): Promise<{ readonly calls: number; readonly jobs: number; readonly failures: readonly string[] }>;
}

const IDENTITY = 'slimfaas-identity';
const CERTIFICATES = 'slimfaas-identity-tls';
const TOLD = 'slimfaas-nats-accounts';

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

/**
 * Keys and certificates of identities are replaced while functions are called and jobs run: no call fails, and every job
 * that was accepted ends. docs/security.md says how an operator does it; so does this.
 */
describe('keys of identities are replaced under load', { concurrency: false }, () => {
  let world: World;
  before(async () => {
    // Identities of 18 s: each is renewed all the while, too.
    const flags = { 'certificate-check-seconds': 0.2, 'identity-hours': 0.005 };
    world = await startWorld({ values: { auth: 'required', webhook: { flags } } });
    await world.deploy({ name: 'shop', annotations: { ReplicasMin: 2 }, replicas: 2 });
    await world.waitForReady('shop', 2);
  });
  after(() => world?.[Symbol.asyncDispose]());

  const secret = (name: string): Record<string, string> =>
    world.system.api.get('secrets', 'slimfaas', name)?.['data'] as Record<string, string>;

  /** As `kubectl edit` does: what is undefined is taken out. */
  const change = (name: string, data: Record<string, string | undefined>): Promise<unknown> =>
    world.system.api.modify('secrets', 'slimfaas', name, (draft) => {
      const changed = Object.entries({ ...draft['data'], ...data }).filter(([, text]) => text !== undefined);
      draft['data'] = Object.fromEntries(changed);
    });

  async function postJob(): Promise<string> {
    const url = `${world.system.proxyUrl}/async-function/shop/work/5`;
    // 503: NATS is not there now, and the caller knows that its job was not taken.
    const { headers } = await waitFor(
      async () => {
        const answer = await send(url, { method: 'POST', body: 'x' });
        assert.ok([201, 503].includes(answer.status), answer.body);
        return answer.status === 201 ? answer : undefined;
      },
      { what: 'a job is accepted', timeoutMs: 60_000, intervalMs: 100 },
    );
    return String(headers['slimfaas-element-id']);
  }

  async function jobEnds(id: string): Promise<void> {
    const url = `${world.system.proxyUrl}/async-function-job/shop/${id}`;
    const isDone = async () => /"state":"done"/.test((await send(url)).body);
    await waitFor(isDone, { what: `job ${id} is done`, timeoutMs: 60_000, intervalMs: 100 });
  }

  function startLoad(): Load {
    const failures: string[] = [];
    let calls = 0;
    const over = new AbortController();
    const call = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const answer = await world.call('shop', '/work/20').catch((error: unknown) => String(error));
        if (typeof answer === 'string' || answer.status !== 200)
          failures.push(typeof answer === 'string' ? answer : `${answer.status} ${answer.body}`);
        else calls++;
      }
    };
    const posted: string[] = [];
    const post = async (): Promise<void> => {
      while (!over.signal.aborted) {
        posted.push(await postJob());
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const running = [call(), call(), call(), post()];
    return {
      get calls() {
        return calls;
      },
      jobEnds: async () => jobEnds(await postJob()),
      async stop() {
        over.abort();
        await Promise.all(running);
        await Promise.all(posted.map(jobEnds));
        return { calls, jobs: posted.length, failures };
      },
    };
  }

  /** Runs `rotate` under load, and then some more calls. */
  async function underLoad(rotate: (load: Load) => Promise<unknown>): Promise<void> {
    const load = startLoad();
    try {
      await load.jobEnds();
      await rotate(load);
      await load.jobEnds();
      const { calls } = load;
      await waitFor(() => load.calls > calls + 20, { what: 'calls of the time after' });
    } finally {
      const { calls, jobs, failures } = await load.stop();
      assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${calls} calls failed`);
      assert.ok(jobs > 1, `${jobs} jobs`);
    }
  }

  const natsHost = (): string =>
    world.system.api.get('services', 'slimfaas', 'slimfaas-nats')?.['spec'].clusterIP as string;

  /** The certificate that NATS shows to a new connection. */
  async function shown(): Promise<string> {
    const plain = connectTcp(4222, natsHost());
    await once(plain, 'data');
    plain.removeAllListeners('data');
    const socket: TLSSocket = connectTls({ socket: plain, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    return new X509Certificate(raw).fingerprint256;
  }

  const restart = async (name: string): Promise<void> => {
    const before = new Set(world.pods(name).map(({ metadata }) => metadata.uid));
    await world.system.api.modify('deployments', NAMESPACE, name, ({ spec }) => {
      spec.template.metadata.annotations['kubectl.kubernetes.io/restartedAt'] = new Date().toISOString();
    });
    const areOthers = () => {
      const now = world.allPods(name);
      return now.length === 2 && now.every(({ metadata }) => !before.has(metadata.uid));
    };
    await waitFor(areOthers, { what: `${name} has other pods`, timeoutMs: 60_000 });
    await world.waitForReady(name, 2);
  };

  /** Takes entries out of the Secret; hands back once others are there, and told to NATS. */
  async function takeOut(...entries: string[]): Promise<void> {
    const before = secret(IDENTITY);
    const told = secret(TOLD)['nats.conf'];
    await change(IDENTITY, Object.fromEntries(entries.map((entry) => [entry, undefined])));
    const areMade = () => {
      const now = secret(IDENTITY);
      return entries.every((entry) => now[entry] !== undefined && now[entry] !== before[entry]);
    };
    await waitFor(areMade, { what: `${entries.join(', ')} are made again` });
    if (entries.some((entry) => entry.endsWith('.nk')))
      await waitFor(() => secret(TOLD)['nats.conf'] !== told, { what: 'NATS is told' });
  }

  it('identities end after seconds: each process has the next one in time', async () => {
    const { logLines } = world.system;
    const given = () => logLines.filter((line) => / identity expires=/.test(line)).length;
    await underLoad(async () => {
      const wanted = given() + 8; // two sidecars, a proxy and two scalers, and some of them again
      await waitFor(() => given() >= wanted, { what: 'identities are renewed', timeoutMs: 60_000 });
    });
  });

  it('the signing keys, and the account of sidecars: nobody restarts anything', async () => {
    const { logLines } = world.system;
    const read = () => logLines.filter((line) => line.includes('Reloaded server configuration')).length;
    await underLoad(async () => {
      const before = read();
      await takeOut('signer.nk', 'functions-signer.nk', 'functions.nk');
      await waitFor(() => read() > before, { what: 'NATS has read what it was told' });
    });
  });

  it('operator and system account: NATS is restarted', async () => {
    await underLoad(async () => {
      await takeOut('operator.nk', 'system-account.nk', 'signer.nk', 'functions-signer.nk');
      const pod = world.system.api.list('pods', { namespace: 'slimfaas' }).find(isNats);
      await world.system.api.delete('pods', 'slimfaas', pod?.metadata.name ?? '');
    });
  });

  it('the key of proofs: functions are restarted', async () => {
    await underLoad(async () => {
      await takeOut('grant.key');
      await restart('shop');
    });
  });

  it('the certificate of NATS and of the issuer: nobody restarts anything', async () => {
    const before = await shown();
    await underLoad(async () => {
      await change(CERTIFICATES, { 'tls.key': '' });
      await waitFor(async () => (await shown()) !== before, { what: 'NATS shows another certificate' });
    });
  });
});

function isNats({ metadata }: { metadata: { name: string } }): boolean {
  return metadata.name.startsWith('slimfaas-nats');
}
