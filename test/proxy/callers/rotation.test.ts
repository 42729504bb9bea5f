/** What callers show, and what the proxy shows them, is replaced while they call: none of them is refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { systemClock, type Clock } from '../../../proxy/clock.ts';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import { waitFor } from '../../helpers/wait.ts';
import { callUrl } from '../support/calls.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { startTokenIssuer } from './token-issuer.ts';

/** Ends with its test, also with one that failed. */
interface Load extends AsyncDisposable {
  readonly calls: number;
  /** Waits until some more calls were answered, all that began after this moment among them. */
  goOn(): Promise<void>;
  /** @returns how the calls ended, each kind once */
  stop(): Promise<unknown[]>;
}

/** Three callers, each with one call at a time. @param call hands back its status */
function startLoad(call: (number: number) => Promise<unknown>): Load {
  const ends = new Set<unknown>();
  let calls = 0;
  const over = new AbortController();
  const caller = async (): Promise<void> => {
    while (!over.signal.aborted) {
      ends.add(await call(calls).catch((error: unknown) => String(error)));
      calls++;
    }
  };
  const running = Promise.all([caller(), caller(), caller()]);
  const end = async (): Promise<void> => {
    over.abort();
    await running;
  };
  return {
    get calls() {
      return calls;
    },
    async goOn() {
      const wanted = calls + 20;
      await waitFor(() => calls >= wanted, { what: 'more calls' });
    },
    async stop() {
      await end();
      return [...ends];
    },
    [Symbol.asyncDispose]: end,
  };
}

async function oneFunction(t: TestProxy, auth: object): Promise<string> {
  t.addFunction('fib', { 'slimfaas.dev/auth': JSON.stringify(auth) });
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  return `${t.url}/function/fib/`;
}

test('an issuer changes its keys: no call fails, and tokens of the old key end with it', async () => {
  await using issuer = await startTokenIssuer();
  let later = 0;
  const wallClock = (): number => Date.now() + later;
  await using t = await startTestProxy([`--jwt-issuers=${issuer.url}`], { wallClock });
  const url = await oneFunction(t, { Jwt: { Issuer: issuer.url } });
  const call = async (token: string): Promise<number> =>
    (await callUrl(url, { headers: { Authorization: `Bearer ${token}` } })).status;
  await using load = startLoad(async (number) => call(await issuer.token({ sub: `caller ${number}` }, '5h')));
  await load.goOn();
  const old = await issuer.token({ sub: 'old' }, '5h');
  assert.equal(await call(old), 200);
  later += 10_000; // it was not asked just now
  await issuer.rotate({ isBeside: true });
  await load.goOn();
  assert.equal(await call(old), 200, 'its key is still there');
  issuer.keys = issuer.keys.slice(-1);
  later += 600_001;
  await waitFor(async () => (await call(old)) === 401, { what: 'the old key is not known any more' });
  await load.goOn();
  assert.deepEqual(await load.stop(), [200]);
});

/** What the proxy looks at every 30 s, it looks at all the time. */
const quick: Clock = {
  now: () => systemClock.now(),
  after: (ms, run) => systemClock.after(ms === 30_000 ? 20 : ms, run),
};

test('an API key is replaced: the new one is added, callers take it, the old one goes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keys-'));
  await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
  const write = async (name: string, key: string): Promise<void> => {
    const hash = createHash('sha256').update(key).digest('hex');
    await writeFile(join(folder, `.${name}`), `sha256:${hash}`);
    await rename(join(folder, `.${name}`), join(folder, name));
  };
  await write('team-a', 'first');
  await using t = await startTestProxy([`--api-keys=${folder}`], { clock: quick });
  const url = await oneFunction(t, { ApiKeys: ['*'] });
  const call = async (key: string): Promise<number> =>
    (await callUrl(url, { headers: { 'X-Api-Key': key } })).status;
  let key = 'first';
  await using load = startLoad(() => call(key));
  await load.goOn();
  await write('team-a-next', 'second');
  await waitFor(async () => (await call('second')) === 200, { what: 'the new key is known' });
  await load.goOn();
  key = 'second';
  await load.goOn();
  await rm(join(folder, 'team-a'));
  await waitFor(async () => (await call('first')) === 401, { what: 'the old key is not known any more' });
  await load.goOn();
  assert.deepEqual(await load.stop(), [200]);
});

test('the certificate is replaced: no call fails, on open connections and on new ones', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-tls-'));
  await using _ = { [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
  const validity = { nowMs: Date.now(), validMs: 3_600_000 };
  const authority = await createAuthority(validity);
  const [cert, key] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
  const renew = async (): Promise<void> => {
    const pair = await issueCertificate(authority, ['localhost'], validity);
    // One after the other: between them the files do not belong together.
    await writeFile(key, pair.key);
    await writeFile(cert, pair.certificate);
  };
  await renew();
  const flags = ['--tls-port=0', `--tls-cert=${cert}`, `--tls-key=${key}`, '--tls-check-seconds=0.05'];
  await using t = await startTestProxy(flags);
  t.addFunction('fib');
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  const shown = new Set<string>();
  const call = (agent: Agent | false): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { agent, ca: authority.certificate, servername: 'localhost' };
      const req = request(`https://127.0.0.1:${t.proxy.tlsPort}/function/fib/`, options, (res) => {
        if (agent === false) shown.add((res.socket as TLSSocket).getPeerCertificate().fingerprint256);
        res.resume().once('end', () => resolve(res.statusCode ?? 0));
      });
      req.once('error', reject).end();
    });
  const kept = new Agent({ keepAlive: true });
  using _agent = { [Symbol.dispose]: () => kept.destroy() };
  await using load = startLoad((number) => call(number % 2 === 0 ? kept : false));
  await load.goOn();
  for (const count of [2, 3]) {
    await renew();
    await waitFor(() => shown.size >= count, { what: 'another certificate is shown' });
    await load.goOn();
  }
  assert.deepEqual(await load.stop(), [200]);
});
