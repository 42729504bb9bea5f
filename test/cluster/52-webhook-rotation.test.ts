/**
 * The webhook's certificate and CA are replaced by hand, as docs/security.md says, while pods are created and functions
 * are called: no pod starts without its sidecar, and no call fails.
 */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { SIDECAR_CONTAINER } from '../../common/function/names.ts';
import { splitBundle } from '../../webhook/certificates/x509.ts';
import type { Caller } from './harness/caller.ts';
import { workload } from './harness/functions.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const { system } = world.release;
const SECRET = `/api/v1/namespaces/${system}/secrets/slimfaas-webhook-tls`;
let caller: Caller;
let fn: Deployed;

before(async () => {
  caller = await world.caller();
  fn = await world.deploy({ name: 'called', annotations: { ReplicasMin: 1 }, replicas: 1 });
  await fn.waitForReady(1);
});
after(() => fn[Symbol.asyncDispose]());

async function stored(entry: string): Promise<string> {
  const secret = await world.get(SECRET);
  return Buffer.from(String(secret?.['data'][entry] ?? ''), 'base64').toString();
}

/** A merge patch of texts: null takes an entry out. */
async function change(data: Record<string, string | null>): Promise<void> {
  const encoded = Object.entries(data).map(([entry, text]) => [
    entry,
    text === null ? null : Buffer.from(text).toString('base64'),
  ]);
  const body = { data: Object.fromEntries(encoded) as object };
  const { status, text } = await world.send('PATCH', SECRET, body, 'application/merge-patch+json');
  assert.equal(status, 200, text);
}

interface Creations {
  /** Waits until so many more pods were created, all of them after this moment. */
  more(count: number): Promise<void>;
  /** @returns what went wrong */
  stop(): Promise<{ readonly created: number; readonly failures: readonly string[] }>;
}

/** Each passes the API server and its webhooks, and is then not stored. */
function createPods(): Creations {
  const { spec } = workload(world.context.settings, world.namespace, { name: 'stream' }) as {
    spec: { template: { metadata: object; spec: object } };
  };
  const { template } = spec;
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    ...template,
    metadata: { ...template.metadata, generateName: 'stream-' },
  };
  const failures: string[] = [];
  let created = 0;
  const over = new AbortController();
  const run = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const { status, text } = await world.send(
        'POST',
        `/api/v1/namespaces/${world.namespace}/pods?dryRun=All`,
        pod,
      );
      if (status !== 201) failures.push(`${status} ${text}`);
      else if (!text.includes(`"name":"${SIDECAR_CONTAINER}"`)) failures.push('no sidecar');
      created++;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const running = Promise.all([run(), run()]);
  return {
    async more(count) {
      const wanted = created + count + 2;
      await until(async () => created >= wanted, `${count} more pods`, 60_000);
    },
    async stop() {
      over.abort();
      await running;
      return { created, failures };
    },
  };
}

it('the webhook’s certificate and its CA are replaced, under pods that are created and calls', async (t) => {
  const order = { url: `${world.insideUrl}/function/${fn.route}/work/20`, callers: 2, paceMs: 50 };
  const load = await caller.load(order);
  const creations = createPods();
  try {
    await creations.more(10);
    const [first, old = ''] = [await stored('tls.crt'), ...splitBundle(await stored('ca.crt'))];
    await change({ 'tls.key': '' });
    await until(async () => (await stored('tls.key')) !== '', 'there is another certificate', 60_000);
    const second = await stored('tls.crt');
    assert.notEqual(second, first);
    await creations.more(20);

    await change({ 'ca.key': null });
    await until(async () => (await stored('tls.crt')) !== second, 'the next CA has signed one', 90_000);
    const [next = '', ...older] = splitBundle(await stored('ca.crt'));
    assert.ok(next !== old && older.includes(old), 'both are trusted');
    await creations.more(20);

    await change({ 'ca.crt': next });
    const configurations = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    const isNextAlone = async (): Promise<boolean> =>
      (await world.list(configurations)).some(({ webhooks }) =>
        (webhooks as { clientConfig: { caBundle?: string } }[]).every(
          ({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString() === next,
        ),
      );
    await until(isNextAlone, 'the old CA is trusted no more', 60_000);
    await creations.more(20);
  } finally {
    const { created, failures } = await creations.stop();
    const calls = await load.stop();
    t.diagnostic(
      `${created} pods created, ${failures.length} failed; ${calls.calls} calls, p99 ${calls.p99} ms`,
    );
    assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${created} pods`);
    assert.deepEqual(calls.failures.slice(0, 3), [], `${calls.failures.length} of ${calls.calls} calls`);
  }
});
