/**
 * The floors of the architecture (docs/internals/architecture.md, "Code"): who may import whom. A failure names the file
 * and the import; either the import is wrong, or the rule is, and then it is changed here with its reason.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import manifest from '../package.json' with { type: 'json' };
import { readImports, reachable, type ImportGraph } from './helpers/code/imports.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PARTS = ['proxy', 'sidecar', 'scaler', 'webhook', 'packages'];

let graph: ImportGraph;

before(async () => {
  graph = await readImports(ROOT, ['common', 'cli', ...PARTS]);
});

const top = (path: string): string => path.split('/', 1)[0] as string;

async function peersOf(name: string): Promise<string[]> {
  const text = await readFile(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return Object.keys((JSON.parse(text) as { peerDependencies?: object }).peerDependencies ?? {});
}

/** `file → import`, for each run-time or type import that `isForbidden`. */
function offences(isForbidden: (file: string, target: string) => boolean): string[] {
  return [...graph.mentions].flatMap(([file, targets]) =>
    targets.filter((target) => isForbidden(file, target)).map((target) => `${file} → ${target}`),
  );
}

/** Files outside node_modules that load the package at run time. */
function loadersOf(library: string): string[] {
  return [...graph.loads].filter(([, all]) => all.some((i) => i.target === library)).map(([file]) => file);
}

describe('architecture: imports go down only', () => {
  it('common imports no part and nothing of the command line', () => {
    assert.deepEqual(
      offences((file, target) => top(file) === 'common' && [...PARTS, 'cli'].includes(top(target))),
      [],
    );
  });

  it('no part imports another part, or the command line', () => {
    const isForeign = (file: string, target: string): boolean =>
      PARTS.includes(top(file)) && [...PARTS, 'cli'].includes(top(target)) && top(target) !== top(file);
    assert.deepEqual(offences(isForeign), []);
  });

  it('nothing imports an entry', () => {
    assert.deepEqual(
      offences((_, target) => ['cli/main.ts', 'cli/image.ts'].includes(target)),
      [],
    );
  });

  it('the image’s entry reaches neither the local cluster nor the manifests', () => {
    const all = [...reachable(graph, 'cli/image.ts')];
    assert.ok(all.includes('proxy/start.ts'));
    assert.deepEqual(
      all.filter((path) => ['packages', 'manifests'].includes(top(path))),
      [],
    );
  });

  it('nothing outside test and bench imports them', () => {
    assert.deepEqual(
      offences((_, target) => ['test', 'bench'].includes(top(target))),
      [],
    );
  });
});

describe('architecture: pure files reach no library and nothing of the outside', () => {
  /** Deciding, matching, injecting, balancing, the breaker, windows: what takes time and facts as arguments. */
  const PURE_FILES = [
    'common/function/annotations/index.ts',
    'common/runtime/backoff.ts',
    'sidecar/limits/breaker.ts',
    'common/bus/messages.ts',
    'common/bus/subjects.ts',
    'common/runtime/time-average.ts',
    'common/tunnel/websocket-frames.ts',
    'proxy/pods/balance.ts',
    'proxy/call/retry.ts',
    'proxy/functions/visibility.ts',
    'sidecar/call/call-policy.ts',
    'sidecar/app/probe-spec.ts',
    'sidecar/call/retry.ts',
    'webhook/inject/inject.ts',
    'webhook/inject/match.ts',
  ];
  const PURE_FOLDERS = ['scaler/decide/', 'scaler/sizing/', 'scaler/promql/'];
  /** Hashing is arithmetic, as is matching, of addresses too; the PromQL grammar is data in the form of a library. */
  const ALLOWED = new Set(['node:crypto', 'node:net', '@prometheus-io/lezer-promql', 're2js']);

  it('each of them, through everything that it loads', () => {
    const folders = [...graph.loads.keys()].filter((path) => PURE_FOLDERS.some((f) => path.startsWith(f)));
    assert.ok(folders.length > 1, 'the folders are there');
    const wrong: string[] = [];
    for (const file of [...PURE_FILES, ...folders]) {
      assert.ok(graph.loads.has(file), `${file} is there`);
      for (const target of reachable(graph, file)) {
        if (!target.endsWith('.ts') && !ALLOWED.has(target)) wrong.push(`${file} → … → ${target}`);
      }
    }
    assert.deepEqual(wrong, []);
  });
});

describe('architecture: one adapter a library', () => {
  const SOLE: Readonly<Record<string, string>> = {
    nats: 'common/bus/nats-library.ts',
    pino: 'cli/parts/pino-log.ts',
    'prom-client': 'common/runtime/metrics.ts',
    '@peculiar/x509': 'common/tls/x509-library.ts',
    re2js: 'scaler/promql/pattern.ts',
  };
  for (const [library, adapter] of Object.entries(SOLE)) {
    it(`${library} is loaded by ${adapter} alone`, () => assert.deepEqual(loadersOf(library), [adapter]));
  }

  it('@kubernetes/client-node is loaded by common/kube/ and by at most one file a part', () => {
    const folders = loadersOf('@kubernetes/client-node')
      .filter((file) => !file.startsWith('common/kube/'))
      .map(top);
    assert.deepEqual(folders.toSorted(), [...new Set(folders)].toSorted());
    assert.ok(!folders.includes('common'));
  });

  for (const library of ['http-proxy', 'undici', 'fast-json-patch']) {
    it(`${library} is loaded by at most one file a part`, () => {
      const folders = loadersOf(library).map(top);
      assert.deepEqual(folders.toSorted(), [...new Set(folders)].toSorted(), loadersOf(library).join(' '));
    });
  }

  it('every dependency is loaded or mentioned by a source file, or is the peer of one that is', async () => {
    const texts = await Promise.all(
      [...graph.loads.keys()].map((file) => readFile(join(ROOT, file), 'utf8')),
    );
    const isImported = (name: string) =>
      texts.some((text) => new RegExp(`(from|import\\() ?'${name}['/]`).test(text));
    const names = Object.keys(manifest.dependencies);
    const peers = await Promise.all(names.filter(isImported).map(peersOf));
    assert.deepEqual(
      names.filter((name) => !isImported(name) && !peers.flat().includes(name)),
      [],
    );
  });

  it('yargs is the command line’s', () => {
    assert.deepEqual(
      loadersOf('yargs').filter((file) => top(file) !== 'cli'),
      [],
    );
  });
});

describe('architecture: the outside world comes in as arguments', () => {
  /** Starts other processes, which need the machine's PATH as a shell would give it. */
  const MAY_READ_ENVIRONMENT = new Set(['packages/local-cluster/kubelet/pods/pod-runtime.ts']);

  it('only the command line reads environment, argv and signals', async () => {
    const wrong: string[] = [];
    for (const file of graph.loads.keys()) {
      if (top(file) === 'cli' || MAY_READ_ENVIRONMENT.has(file)) continue;
      const text = await readFile(join(ROOT, file), 'utf8');
      if (/\bprocess\.(env|argv|exit|on|once)\b/.test(text)) wrong.push(file);
    }
    assert.deepEqual(wrong, []);
  });
});

describe('architecture: one reader of pods and workloads', () => {
  /** Fields in which Kubernetes reports on a pod or a workload, or that say which pods get no sidecar. */
  const REPORTED =
    /\b(initContainerStatuses|containerStatuses|podIPs?|ownerReferences|deletionTimestamp|observedGeneration|hostNetwork)\b|\bstatus\??\.(conditions|phase|replicas|readyReplicas)\b|\bspec\??\.replicas\b|\bstatus\b[^;{}\n]*\}: V1(Pod|Deployment|StatefulSet)\b/;
  /** Local clusters are Kubernetes itself: they write what is read here. */
  const READERS = ['common/kube/model/', 'packages/'];
  const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
    ['common/kube/lists.ts', 'keeps the identity of an object and drops the rest; it reads nothing'],
    ['scaler/services/slices.ts', 'writes who owns an EndpointSlice, and compares it'],
    ['scaler/world/kube.ts', 'writes replicas through the /scale subresource, and reads what that answered'],
    ['webhook/inject/pod-shape.ts', 'checks the shape of a review before anything is read from it'],
  ]);
  const CODE = /\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'/g;
  const isRaw = (text: string): boolean => REPORTED.test(text.replace(CODE, "''"));

  it('is in common/kube/model/: nobody else reads what Kubernetes reports', async () => {
    const raw: string[] = [];
    for (const file of graph.loads.keys()) {
      if (READERS.some((folder) => file.startsWith(folder))) continue;
      if (isRaw(await readFile(join(ROOT, file), 'utf8'))) raw.push(file);
    }
    assert.deepEqual(raw.toSorted(), [...EXCEPTIONS.keys()]);
  });

  it('reading of one’s own is found, comments and texts are not', () => {
    assert.ok(isRaw("pod.status?.conditions?.find(({ type }) => type === 'Ready')"));
    assert.ok(isRaw('function isUp({ metadata, status }: V1Pod): boolean {'));
    assert.ok(isRaw('const wanted = workload.spec?.replicas ?? 1;'));
    assert.ok(!isRaw("/** As in status.phase. */ const text = 'status.podIP'; // hostNetwork"));
    assert.ok(!isRaw('if (fn.spec.replicasMin > 0) return facts.replicas;'));
  });
});

describe('architecture: the sidecar’s weight', () => {
  const TOO_HEAVY = [
    '@kubernetes/client-node',
    'yargs',
    'zod',
    'yaml',
    'pino',
    'fast-json-patch',
    '@peculiar/x509',
  ];
  const ENTRIES = new Set(['cli/image.ts', 'cli/main.ts']);
  const roots = [...ENTRIES, 'cli/parts/sidecar.ts', 'sidecar/start.ts', 'common/function/sidecar-flags.ts'];

  it('never reaches the Kubernetes client, yargs or a schema library, lazily or not', () => {
    for (const root of roots.filter((root) => !ENTRIES.has(root))) {
      const all = reachable(graph, root);
      assert.ok(all.size > 1, `${root} is there`);
      assert.deepEqual(
        TOO_HEAVY.filter((library) => all.has(library)),
        [],
        root,
      );
      assert.deepEqual(
        [...all].filter((path) => path.startsWith('common/kube/')),
        [],
        root,
      );
    }
  });

  it('loads Koa, its router and http-proxy only when somebody asks for them', () => {
    for (const root of roots) {
      const atOnce = reachable(graph, root, true);
      assert.deepEqual(
        ['koa', 'koa-router', 'http-proxy', 'node:http2', 'node:https'].filter((library) =>
          atOnce.has(library),
        ),
        [],
        root,
      );
    }
  });
});
