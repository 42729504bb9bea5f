import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAnnotations } from '../../common/function/annotations/index.ts';
import { brokenRestrictedRules, brokenRules } from '../webhook/pod-rules.ts';
import { ofKind, readManifests, selects, templateOf, type Labels } from './manifests.ts';

const FUNCTIONS = readManifests('demo/functions.yaml');
const MYSQL = readManifests('demo/mysql.yaml');
const WORKLOADS = ofKind([...FUNCTIONS, ...MYSQL], 'Deployment', 'StatefulSet');

describe('the demo manifests', () => {
  it('carry exactly the annotations that SlimFaas users know', () => {
    const annotations = Object.fromEntries(
      WORKLOADS.map((workload) => [workload.metadata.name, templateOf(workload).metadata?.annotations]),
    );
    assert.deepEqual(annotations, {
      fibonacci1: {
        'SlimFaas/Function': 'true',
        'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '10',
        'SlimFaas/NumberParallelRequest': '10',
        'SlimFaas/NumberParallelRequestPerPod': '1',
        'SlimFaas/ReplicasAtStart': '1',
        'SlimFaas/ReplicasMin': '0',
      },
      fibonacci2: {
        'SlimFaas/Function': 'true',
        'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '8',
        'SlimFaas/NumberParallelRequest': '2',
        'SlimFaas/DependsOn': 'fibonacci1,mysql',
      },
      fibonacci3: {
        'SlimFaas/Function': 'true',
        'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '120',
        'SlimFaas/NumberParallelRequest': '40',
        'SlimFaas/NumberParallelRequestPerPod': '10',
        'SlimFaas/ReplicasAtStart': '2',
      },
      fibonacci4: {
        'SlimFaas/Function': 'true',
        'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '120',
        'SlimFaas/DefaultVisibility': 'Private',
      },
      mysql: { 'SlimFaas/Function': 'true' },
    });
  });

  for (const workload of WORKLOADS)
    it(`${workload.metadata.name}: no faults, valid, restricted, in the proxy's namespace`, () => {
      const { metadata, spec } = templateOf(workload);
      assert.deepEqual(parseAnnotations(metadata?.annotations ?? {}).faults, []);
      assert.equal(workload.metadata.namespace, 'slimfaas');
      assert.ok(spec);
      assert.deepEqual(brokenRules({ spec }), []);
      assert.deepEqual(spec.containers.flatMap(brokenRestrictedRules), []);
      assert.ok(selects(workload['spec'].selector.matchLabels as Labels, metadata?.labels));
    });

  it('mysql is a StatefulSet with a headless Service on 3306, and no probes', () => {
    const [service] = ofKind(MYSQL, 'Service');
    const [workload] = ofKind(MYSQL, 'StatefulSet');
    assert.equal(service?.['spec'].clusterIP, 'None');
    assert.equal(workload?.['spec'].serviceName, service?.metadata.name);
    const [container] = (workload && templateOf(workload).spec?.containers) ?? [];
    assert.deepEqual(container?.ports, [{ name: 'mysql', containerPort: 3306 }]);
    assert.equal(container?.readinessProbe ?? container?.livenessProbe ?? container?.startupProbe, undefined);
  });
});

interface Demo {
  readonly process: ChildProcess;
  readonly port: number;
}

/** The real server; port 0 is told by the line that it prints. */
async function startDemo(...args: string[]): Promise<Demo> {
  const script = fileURLToPath(new URL('../../manifests/demo/server.ts', import.meta.url));
  const child = spawn(process.execPath, [script, ...args], {
    env: { HOST: '127.0.0.1', PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { process: child, port: Number(/:(\d+)/.exec(line.toString())?.[1]) };
}

async function end(demo: Demo, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  if (demo.process.exitCode !== null) return demo.process.exitCode;
  const exited = once(demo.process, 'exit');
  demo.process.kill(signal);
  return ((await exited) as [number | null])[0];
}

describe("the demo's server", () => {
  let demo: Demo;
  before(async () => {
    demo = await startDemo();
  });
  after(() => end(demo, 'SIGKILL'));

  const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${demo.port}${path}`, init);

  const answers: [string, number, RegExp][] = [
    ['/hello/guillaume', 200, /^Hello guillaume\n$/],
    ['/hello/J%C3%BCrgen', 200, /^Hello Jürgen\n$/],
    ['/hello/100%', 200, /^Hello 100%\n$/],
    ['/fibonacci/20', 200, /"result":6765/],
    ['/fibonacci/41', 400, /from 0 to 40, got \\"41\\"/],
    ['/fibonacci/many', 400, /whole number/],
    ['/slow/5', 200, /"slept":5/],
    ['/slow/-1', 400, /whole number/],
    ['/health', 200, /^ok\n$/],
    ['/nowhere', 404, /try \/hello/],
  ];
  for (const [path, status, body] of answers)
    it(`GET ${path} answers ${status}`, async () => {
      const response = await get(path);
      assert.equal(response.status, status);
      assert.match(await response.text(), body);
    });

  it('echoes what arrived', async () => {
    const response = await get('/echo/a/b?c=d', { method: 'PUT', body: 'hi', headers: { 'X-One': '1' } });
    const echo = (await response.json()) as { method: string; path: string; headers: string[]; body: string };
    assert.equal(echo.method, 'PUT');
    assert.equal(echo.path, '/echo/a/b?c=d');
    assert.equal(echo.body, 'hi');
    assert.equal(echo.headers[echo.headers.findIndex((name) => name.toLowerCase() === 'x-one') + 1], '1');
  });

  it('on SIGTERM answers what it is answering, then ends with 0', async () => {
    const own = await startDemo();
    try {
      const answer = fetch(`http://127.0.0.1:${own.port}/slow/400`);
      // Answered after the slow one was read: connections are accepted in order.
      await (await fetch(`http://127.0.0.1:${own.port}/health`)).text();
      const ended = end(own);
      assert.equal((await answer).status, 200);
      assert.equal(await ended, 0);
    } finally {
      await end(own, 'SIGKILL');
    }
  });

  it('with --tcp it accepts connections and speaks no HTTP', async () => {
    const own = await startDemo('--tcp', '0');
    try {
      const socket = createConnection({ host: '127.0.0.1', port: own.port });
      socket.write('GET / HTTP/1.1\r\n\r\n');
      assert.doesNotMatch(await text(socket), /HTTP/);
      assert.equal(await end(own), 0);
    } finally {
      await end(own, 'SIGKILL');
    }
  });
});
