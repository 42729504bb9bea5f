/**
 * `slimfaas check`: asks each part of an installation whether it works, as the others use it. `helm test` runs it
 * inside the cluster. The webhook is given a pod to inject, so that no rights on the cluster are needed. NATS is
 * asked for JetStream, because a server without it takes no job.
 */
import { request } from 'node:https';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { withBrackets } from '../../common/runtime/brackets.ts';
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { silentLog } from '../../common/runtime/log.ts';
import { openNatsLink } from '../../common/bus/nats.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { checkFlags } from '../people-flags.ts';
import { table } from '../client/table.ts';

/** Undefined: it works; else what is wrong. */
type Problem = string | undefined;

interface Check {
  readonly part: string;
  readonly address: string;
  readonly run: (address: string) => Promise<Problem>;
}

const CHECK_TIMEOUT_MS = 5_000;
const CHECK_PAUSE_MS = 500;

/** Prints a table; the exit code is 1 if a part does not work within `--wait` seconds. */
export async function runCheck(argv: Parsed): Promise<void> {
  const flags = flagValues(checkFlags, argv);
  const checks: Check[] = [
    { part: 'proxy', address: flags['proxy-url'], run: readiness },
    { part: 'scaler', address: flags['scaler-url'], run: readiness },
    { part: 'webhook', address: flags['webhook-url'], run: injects },
    { part: 'nats', address: flags.nats, run: hasJetStream },
  ];
  const deadline = performance.now() + flags.wait * 1_000;
  const rows = await Promise.all(checks.map((check) => rowOf(check, deadline)));
  console.log(table([['PART', 'ADDRESS', 'STATE'], ...rows.map(({ row }) => row)]));
  // A dial to NATS that failed may still be at its time-out: nothing waits for that.
  process.exit(rows.every(({ isGood }) => isGood) ? 0 : 1);
}

async function rowOf(check: Check, deadline: number): Promise<{ row: string[]; isGood: boolean }> {
  const address = withBrackets(check.address);
  let problem = await problemOf(check, address);
  while (problem !== undefined && performance.now() < deadline) {
    await sleep(CHECK_PAUSE_MS);
    problem = await problemOf(check, address);
  }
  return { row: [check.part, address, problem ?? 'works'], isGood: problem === undefined };
}

async function problemOf({ run }: Check, address: string): Promise<Problem> {
  try {
    return await run(address);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return describeError(error);
  }
}

/** `/ready` of proxy and scaler: 200, or what is missing. */
async function readiness(base: string): Promise<Problem> {
  const response = await fetch(`${base.replace(/\/$/, '')}/ready`, {
    signal: AbortSignal.timeout(CHECK_TIMEOUT_MS),
  });
  const body = await response.text();
  return response.ok ? undefined : `${response.status}: ${body}`;
}

/** A pod such as the API server asks about. */
const REVIEW = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'slimfaas-check',
    operation: 'CREATE',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    dryRun: true,
    namespace: 'slimfaas-check',
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'check', annotations: { 'SlimFaas/Function': 'true' } },
      spec: { containers: [{ name: 'app', image: 'none', ports: [{ containerPort: 8080 }] }] },
    },
  },
});

async function injects(base: string): Promise<Problem> {
  const { status, body } = await post(`${base.replace(/\/$/, '')}/mutate`, REVIEW);
  if (status !== 200) return `${status}: ${body}`;
  const { response } = JSON.parse(body) as { response?: { allowed?: boolean; patch?: string } };
  return response?.allowed && response.patch !== undefined ? undefined : `it injects no sidecar: ${body}`;
}

/** The certificate is not verified: its authority is known to the API server alone. */
function post(url: string, body: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const options = {
      method: 'POST',
      headers,
      timeout: CHECK_TIMEOUT_MS,
      rejectUnauthorized: false,
      agent: false,
    };
    const req = request(url, options, (res) => {
      text(res).then((answer) => resolve({ status: res.statusCode ?? 0, body: answer }), reject);
    });
    req.on('timeout', () => req.destroy(new Error(`no answer in ${CHECK_TIMEOUT_MS} ms`)));
    req.on('error', reject);
    req.end(body);
  });
}

/** A server that asks who one is lets us no further than its greeting, and that says enough. */
async function hasJetStream(servers: string): Promise<Problem> {
  const info = await firstWord(servers);
  if (info['auth_required'] === true) return info['jetstream'] === true ? undefined : 'no JetStream';
  const link = openNatsLink({ servers, name: 'check', log: silentLog });
  try {
    const deadline = performance.now() + CHECK_TIMEOUT_MS;
    while (!link.isConnected && performance.now() < deadline) await sleep(20);
    if (!link.connection) return 'no server answers';
    await link.connection.jetstreamManager();
    return undefined;
  } finally {
    await link.stop();
  }
}

/** What the first of the servers says by itself to whoever connects: `INFO {…}`; {} where nothing comes. */
async function firstWord(servers: string): Promise<Record<string, unknown>> {
  const [first = ''] = servers.split(',');
  const { hostname, port } = new URL(first.includes('://') ? first : `nats://${first}`);
  const socket = connect({ host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port || 4222) });
  socket.setTimeout(CHECK_TIMEOUT_MS, () => socket.destroy());
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      const [, json = '{}'] = /^INFO (\{.*\})/.exec(chunk.toString()) ?? [];
      return JSON.parse(json) as Record<string, unknown>;
    }
  } catch {
    // what is wrong with it, the connection proper says
  } finally {
    socket.destroy();
  }
  return {};
}
