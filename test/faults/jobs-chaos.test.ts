/**
 * BEHAVIOURS.md 34: many jobs while every part is killed with SIGKILL once. Ids are counted: each accepted one was
 * seen by the function at least once. Duplicates are counted and printed: a function, a sidecar or a NATS server
 * that dies between a job's end and its record makes it run again, and that is what "at least once" says.
 */
import assert from 'node:assert/strict';
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { waitFor } from '../helpers/wait.ts';
import { NAMESPACE } from '../e2e/functions.ts';
import { startWorld, type World } from '../e2e/world.ts';

const JOBS = Number(process.env['SLIMFAAS_CHAOS_JOBS'] ?? 10_000);
const POSTERS = 24;
const FUNCTION = fileURLToPath(new URL('recording-function.ts', import.meta.url));

let world: World;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slimfaas-chaos-'));
  world = await startWorld({ backoffBaseMs: 200 });
});
after(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function deploy(name: string): Promise<{ seen(): Promise<Map<string, number>> }> {
  const file = join(folder, name);
  await world.deploy({
    name,
    command: [process.execPath, FUNCTION, file],
    annotations: { ReplicasAtStart: 2, NumberParallelRequestPerPod: 16 },
    readinessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 1 },
  });
  return {
    async seen() {
      const counts = new Map<string, number>();
      for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
        const [id] = line.split(' ');
        if (id) counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      return counts;
    },
  };
}

interface Posting {
  readonly accepted: Set<string>;
  /** Posts that failed and were made again. */
  failures: number;
}

/** Posts `count` jobs; what fails is posted again under its key, as a careful client does. */
async function postAll(name: string, count: number, posting: Posting, pauseMs = 0): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: POSTERS });
  let next = 0;
  const poster = async (): Promise<void> => {
    while (next < count) {
      const key = `${name}-${next++}`;
      let id = await postOnce(name, key, agent);
      for (; id === undefined; id = await postOnce(name, key, agent)) {
        posting.failures += 1;
        await sleep(100);
      }
      posting.accepted.add(id);
      if (pauseMs > 0) await sleep(pauseMs);
    }
  };
  await Promise.all(Array.from({ length: POSTERS }, poster));
  agent.destroy();
}

/** The id; undefined for anything but 201. */
function postOnce(name: string, key: string, agent: Agent): Promise<string | undefined> {
  return new Promise((resolve) => {
    const req = request(`${world.system.proxyUrl}/async-function/${name}/`, {
      method: 'POST',
      agent,
      headers: { 'Idempotency-Key': key },
      timeout: 20_000,
    });
    req.on('response', (res) => {
      res.resume();
      res.on('close', () => {
        resolve(res.statusCode === 201 ? String(res.headers['slimfaas-element-id']) : undefined);
      });
    });
    req.on('error', () => resolve(undefined));
    req.on('timeout', () => req.destroy());
    req.end('a job');
  });
}

/** Pods whose name begins so, running. */
function podsOf(prefix: string): string[] {
  return world.system.api
    .list('pods', { namespace: NAMESPACE })
    .map((pod) => pod.metadata.name)
    .filter((name) => name.startsWith(prefix));
}

function kill(prefix: string, container: string): void {
  const [pod] = podsOf(prefix);
  assert.ok(pod, `there is a pod ${prefix}`);
  world.system.failures.killPod(NAMESPACE, pod, container);
}

async function allSeen(
  fn: { seen(): Promise<Map<string, number>> },
  accepted: ReadonlySet<string>,
): Promise<Map<string, number>> {
  const missing = async (): Promise<string[]> => {
    const seen = await fn.seen();
    return [...accepted].filter((id) => !seen.has(id));
  };
  try {
    await waitFor(async () => (await missing()).length === 0, {
      what: 'each accepted job was seen',
      timeoutMs: 90_000,
      intervalMs: 250,
    });
  } catch (error) {
    const lost = await missing();
    assert.fail(`${lost.length} of ${accepted.size} were not seen, such as ${lost[0]}: ${String(error)}`);
  }
  return fn.seen();
}

function report(what: string, posting: Posting, seen: ReadonlyMap<string, number>, ms: number): void {
  const twice = [...seen.values()].reduce((sum, count) => sum + count - 1, 0);
  const unknown = [...seen.keys()].filter((id) => !posting.accepted.has(id)).length;
  console.log(
    `${what}: ${posting.accepted.size} accepted in ${Math.round(ms / 100) / 10} s, ${posting.failures} posts repeated; ` +
      `0 lost, ${twice} ran again, ${unknown} ran whose 201 was lost`,
  );
}

test(`behaviour 34: ${JOBS} jobs while every part is killed once: each id seen at least once, none lost`, async () => {
  const fn = await deploy('survivor');
  const posting: Posting = { accepted: new Set(), failures: 0 };
  const begun = performance.now();
  let isPosting = true;
  const posted = postAll('survivor', JOBS, posting).finally(() => (isPosting = false));
  await world.waitForReady('survivor', 1);
  // Each at its share of the way, whatever the machine's speed.
  const kills: [part: string, prefix: string, container: string][] = [
    ['sidecar', 'survivor-', 'slimfaas-sidecar'],
    ['function', 'survivor-', 'app'],
    ['proxy', 'slimfaas-proxy', 'proxy'],
    ['scaler', 'slimfaas-scaler', 'scaler'],
    ['nats', 'slimfaas-nats', 'nats'],
  ];
  for (const [i, [part, prefix, container]] of kills.entries()) {
    const at = ((i + 1) * JOBS) / (kills.length + 1);
    await waitFor(() => posting.accepted.size >= at, {
      what: `time to kill the ${part}`,
      timeoutMs: 120_000,
    });
    assert.ok(isPosting, 'jobs are still coming');
    kill(prefix, container);
  }
  await posted;
  assert.equal(posting.accepted.size, JOBS, 'one id a key, and no id twice');
  report('every part killed once', posting, await allSeen(fn, posting.accepted), performance.now() - begun);
});

test('nats-server killed and away for 30 s in the middle of traffic: nothing is lost, all resumes by itself', async () => {
  const awayMs = Number(process.env['SLIMFAAS_CHAOS_AWAY_MS'] ?? 30_000);
  const fn = await deploy('patient');
  const posting: Posting = { accepted: new Set(), failures: 0 };
  const begun = performance.now();
  const posted = postAll('patient', 1_000, posting, 20);
  await waitFor(() => posting.accepted.size >= 300, { what: 'traffic flows', timeoutMs: 60_000 });
  const release = world.system.failures.crash('nats');
  kill('slimfaas-nats', 'nats');
  await sleep(awayMs);
  const before = posting.accepted.size;
  release();
  await waitFor(() => posting.accepted.size > before + 100, {
    what: 'jobs are accepted again',
    timeoutMs: 60_000,
  });
  await posted;
  report(`NATS away ${awayMs} ms`, posting, await allSeen(fn, posting.accepted), performance.now() - begun);
});
