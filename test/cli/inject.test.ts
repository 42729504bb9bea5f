import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { injectManifests } from '../../cli/inject/inject-manifests.ts';
import { injectCommand, runInject } from '../../cli/inject/inject.ts';
import type { V1Pod } from '../../common/kube/client.ts';
import { findSidecar } from '../../common/kube/model/containers.ts';
import { SIDECAR_CONTAINER } from '../../common/function/names.ts';
import { fixture, OPTIONS, review } from '../webhook/reviews.ts';
import { brokenRules } from '../webhook/pod-rules.ts';

const POD_SPEC = '{ containers: [{ name: app, image: "app:1", ports: [{ containerPort: 8080 }] }] }';

function workload(kind: string, annotations = '{ SlimFaas/Function: "true" }'): string {
  return `kind: ${kind}
metadata: { name: web, namespace: shop }
spec:
  template:
    metadata: { annotations: ${annotations}, labels: { app: web } }
    spec: ${POD_SPEC}
`;
}

function run(input: string) {
  const report = injectManifests('app.yaml', input, OPTIONS);
  // oxlint-disable-next-line typescript/no-explicit-any -- manifests of any kind
  const objects = parseAllDocuments(report.output).map((document) => document.toJS() as any);
  return { ...report, objects };
}

function item(name: string) {
  return {
    kind: 'Pod',
    metadata: { name, annotations: { 'SlimFaas/Function': 'true' } },
    spec: { containers: [{ name: 'app' }] },
  };
}

function sidecarIn(pod: V1Pod): string | undefined {
  return findSidecar(pod.spec)?.name;
}

describe('slimfaas inject: annotations of SlimFaas’s Jobs', () => {
  it('are said to be ignored, and not to stand in the wrong place', () => {
    const { findings } = run(
      'kind: CronJob\nmetadata: { name: j, annotations: { SlimFaas/Job: "true", SlimFaas/JobImagesWhitelist: "a" } }\n',
    );
    assert.equal(findings.length, 2);
    for (const { message } of findings) {
      assert.match(message, /is ignored: slimfaas starts no Kubernetes Jobs for callers; .*\/async-function/);
      assert.doesNotMatch(message, /itself/);
    }
  });
});

describe('slimfaas inject: which pods', () => {
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job'])
    it(`${kind}: the pod template carries the sidecar`, () => {
      const { objects, findings, functions } = run(workload(kind));
      assert.equal(sidecarIn(objects[0].spec.template), SIDECAR_CONTAINER);
      assert.equal(objects[0].spec.template.metadata.labels['slimfaas.dev/function'], 'web');
      assert.equal(functions, 1);
      assert.deepEqual(findings, []);
    });

  it('CronJob: the template inside its jobTemplate does', () => {
    const { objects } = run(
      workload('CronJob')
        .replace('spec:\n  template:', 'spec:\n jobTemplate:\n  spec:\n   template:')
        .replaceAll(/^ {4}/gm, '      '),
    );
    assert.equal(sidecarIn(objects[0].spec.jobTemplate.spec.template), SIDECAR_CONTAINER);
  });

  it('Pod: the pod itself does', () => {
    const { objects } = run(
      `kind: Pod\nmetadata: { name: p, annotations: { SlimFaas/Function: "true" } }\nspec: ${POD_SPEC}\n`,
    );
    assert.equal(sidecarIn(objects[0]), SIDECAR_CONTAINER);
  });

  it('List: each of its items does', () => {
    const { objects } = run(
      JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [item('a'), item('b')] }),
    );
    assert.deepEqual(objects[0].items.map(sidecarIn), [SIDECAR_CONTAINER, SIDECAR_CONTAINER]);
  });

  it('a workload that did not opt in comes out byte for byte, comments and all', () => {
    const input = `# mine\nkind: Deployment\nmetadata: {name:   web}\nspec: { template: { spec: {containers: []} } }\n---\n\n# other\nkind: ConfigMap\n`;
    assert.equal(run(input).output, input);
  });

  it('two templates that share one by an alias both get theirs', () => {
    const input = `${workload('Deployment').replace('template:', 'template: &t')}---\n${workload('StatefulSet')}`;
    const { objects } = run(input);
    assert.equal(objects.length, 2);
    const aliased = run(
      `kind: List\nitems:\n  - kind: Pod\n    metadata: &m { name: p, annotations: { SlimFaas/Function: "true" } }\n    spec: &s ${POD_SPEC}\n  - { kind: Pod, metadata: *m, spec: *s }\n`,
    );
    assert.deepEqual(aliased.objects[0].items.map(sidecarIn), [SIDECAR_CONTAINER, SIDECAR_CONTAINER]);
    assert.equal(aliased.objects[0].items[1].spec.containers.length, 2);
  });
});

describe('slimfaas inject: what comes out', () => {
  for (const name of ['deployment', 'statefulset', 'mesh', 'own-prestop', 'restricted'])
    it(`${name}: the same as the webhook makes of it`, () => {
      const { after: expected, before: pod } = review(fixture(name));
      const owner = pod.metadata?.ownerReferences?.[0];
      const kind = owner?.kind === 'ReplicaSet' ? 'Deployment' : 'StatefulSet';
      const manifest = {
        kind,
        metadata: { name: expected.metadata?.labels?.['slimfaas.dev/function'], namespace: 'shop' },
        spec: { template: { metadata: { annotations: pod.metadata?.annotations }, spec: pod.spec } },
      };
      const { objects } = run(JSON.stringify(manifest));
      const template = objects[0].spec.template as V1Pod;
      assert.deepEqual(template.spec, expected.spec);
      assert.deepEqual(template.metadata?.annotations, expected.metadata?.annotations);
      assert.deepEqual(brokenRules(template), []);
    });

  it('a template that ends by itself gets a native sidecar, before its own init containers', () => {
    const spec = POD_SPEC.replace(
      'containers:',
      'restartPolicy: Never, initContainers: [{ name: early }], containers:',
    );
    const { objects, output } = run(workload('Job').replace(POD_SPEC, spec));
    const template = objects[0].spec.template as V1Pod;
    assert.deepEqual(
      template.spec?.initContainers?.map(({ name }) => name),
      ['slimfaas-sidecar', 'early'],
      output,
    );
    assert.equal(template.spec?.containers.length, 1);
  });

  it('injected twice is injected once', () => {
    const { output } = run(workload('Deployment'));
    assert.equal(run(output).output, output);
  });

  it('keeps comments and the order of what it changes', () => {
    const input = workload('Deployment')
      .replace('kind:', '# first\nkind:')
      .replace('metadata: { name', 'metadata: # here\n  { name');
    const { output } = run(input);
    assert.match(output, /^# first\nkind: Deployment\nmetadata:\s+# here/);
    assert.ok(output.indexOf('name: app') < output.indexOf('name: slimfaas-sidecar'));
  });
});

describe('slimfaas inject: what is wrong', () => {
  it('an annotation fault names line, document, workload, annotation, value and what is allowed', () => {
    const annotations = '{ SlimFaas/Function: "true",\n      SlimFaas/ReplicasMin: many }';
    const { findings } = run(`kind: ConfigMap\n---\n${workload('Deployment', annotations)}`);
    assert.equal(findings.length, 1);
    const [{ severity, line, document, subject, message }] = findings as [(typeof findings)[number]];
    assert.deepEqual(
      { severity, line, document, subject },
      { severity: 'fault', line: 8, document: 2, subject: 'Deployment shop/web' },
    );
    assert.match(message, /SlimFaas\/ReplicasMin "many": .*allowed.*whole number.*0 is in force/);
  });

  const faults: [string, string, RegExp][] = [
    [
      'an unquoted number',
      workload('Deployment', '{ SlimFaas/Function: "true", SlimFaas/ReplicasMin: 2 }'),
      /ReplicasMin: annotations are text, and this is a number; quote it: .*"2"/,
    ],
    [
      'an unquoted boolean',
      workload('Deployment', '{ SlimFaas/Function: true }'),
      /this is a boolean; quote it/,
    ],
    [
      'annotations on the workload itself',
      workload('Deployment').replace(
        'namespace: shop',
        'namespace: shop, annotations: { SlimFaas/Function: "true" }',
      ),
      /is on the Deployment itself; it works on the pod template only \(spec\.template\.metadata\.annotations\)/,
    ],
    [
      'a pod without containers',
      'kind: Pod\nmetadata: { annotations: { SlimFaas/Function: "true" } }\nspec: { containers: 5 }\n',
      /containers is missing or not a list/,
    ],
    [
      'a misspelt annotation',
      workload('Deployment', '{ SlimFaas/Function: "true", SlimFaas/ReplicaMin: "1" }'),
      /did you mean SlimFaas\/ReplicasMin/,
    ],
  ];
  for (const [name, input, message] of faults)
    it(`${name} is a fault`, () => {
      const { findings } = run(input);
      assert.deepEqual(
        findings.map(({ severity }) => severity),
        ['fault'],
      );
      assert.match(findings[0]?.message ?? '', message);
    });

  it('faults of workloads that did not opt in are nobody’s business', () => {
    assert.deepEqual(run(workload('Deployment', '{ SlimFaas/ReplicasMin: "many" }')).findings, []);
  });

  it('a port conflict is a refusal, and the pod stays as it was', () => {
    const input = workload('Deployment').replace('8080', '15080');
    const { findings, output } = run(input);
    assert.deepEqual(
      findings.map(({ severity }) => severity),
      ['refusal'],
    );
    assert.equal(output, input);
  });

  it('a host-network pod is a warning', () => {
    const { findings } = run(
      workload('DaemonSet').replace('{ containers', '{ hostNetwork: true, containers'),
    );
    assert.deepEqual(
      findings.map(({ severity }) => severity),
      ['warning'],
    );
  });

  const malformed: [string, string, RegExp][] = [
    ['an open bracket', 'a: 1\n---\nb: [1\nc: d\n', /^app\.yaml:4:1: not valid YAML: Flow sequence/],
    ['a tab for indentation', 'a:\n\tb: 1\n', /^app\.yaml:2:1: not valid YAML: Tabs/],
    ['a key given twice', 'a: 1\na: 2\n', /^app\.yaml:2:1: not valid YAML: Map keys must be unique/],
    ['an anchor that is not there', 'a: *nowhere\n', /^app\.yaml: not valid YAML: .*nowhere/],
  ];
  for (const [name, input, message] of malformed)
    it(`${name} is an error with file, line and column`, () => {
      assert.throws(
        () => run(input),
        (error: Error & { code?: string }) => error.code === 'usage' && message.test(error.message),
      );
    });

  for (const input of [
    '',
    '# nothing\n',
    'just text\n',
    '- a\n- b\n',
    'kind: 5\n',
    'kind: Pod\n',
    'kind: Deployment\nspec: 7\n',
  ])
    it(`${JSON.stringify(input)} holds no pod, and comes out as it is`, () => {
      const { output, findings } = run(input);
      assert.equal(output, input);
      assert.deepEqual(findings, []);
    });
});

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

async function command(
  input: string,
  options: { file?: string; check?: boolean; secret?: string } = {},
): Promise<Ran> {
  const ran = { out: '', err: '', code: 0 };
  const { file = '-', check = false, secret = '' } = options;
  const args = { file, check, drainSecret: secret, sidecar: OPTIONS };
  await runInject(args, {
    stdin: Readable.from([input]),
    write: (text) => void (ran.out += text),
    complain: (text) => void (ran.err += text),
    exit: (code) => void (ran.code = code),
  });
  return ran;
}

describe('slimfaas inject: drain tokens', () => {
  const tokenIn = (text: string) => /DRAIN_TOKEN"?,?\s+"?value"?: "?([0-9a-f]{32})/.exec(text)?.[1];

  it('are random, one a template, and it says what that means', async () => {
    const ran = await command(workload('Deployment'));
    assert.match(ran.err, /^stdin: note: all pods of a template have the drain token/);
    assert.match(tokenIn(ran.out) ?? '', /^[0-9a-f]{32}$/);
    assert.notEqual(tokenIn((await command(workload('Deployment'))).out), tokenIn(ran.out));
    assert.equal((await command('kind: ConfigMap\n')).err, '', 'nothing was injected');
  });

  it('are the same each time with a secret, and others for another workload or secret', async () => {
    const token = async (input: string, secret: string) => tokenIn((await command(input, { secret })).out);
    const one = await token(workload('Deployment'), 'secret');
    assert.match(one ?? '', /^[0-9a-f]{32}$/);
    assert.equal(await token(workload('Deployment'), 'secret'), one);
    assert.notEqual(await token(workload('Deployment').replace('web', 'other'), 'secret'), one);
    assert.notEqual(await token(workload('Deployment'), 'another'), one);
  });
});

describe('slimfaas inject: the command', () => {
  const FAULTY = workload('Deployment', '{ SlimFaas/Function: "true", SlimFaas/ReplicasMin: "many" }');
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'slimfaas-inject-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('reads stdin, prints manifests, and complains beside them', async () => {
    const { out, err, code } = await command(FAULTY);
    assert.match(out, /slimfaas-sidecar/);
    assert.match(err, /^stdin:5: document 1 \(Deployment shop\/web\): SlimFaas\/ReplicasMin "many"/);
    assert.equal(code, 0, 'the default is in force: the manifest is good to apply');
  });

  it('--check prints faults only, and exits 1', async () => {
    const { out, err, code } = await command(FAULTY, { check: true });
    assert.equal(out, '');
    assert.match(err, /SlimFaas\/ReplicasMin/);
    assert.equal(code, 1);
  });

  it('--check says so when all is well', async () => {
    const { out, err, code } = await command(workload('Deployment'), { check: true });
    assert.equal(out, 'stdin: 1 functions, no faults\n');
    assert.deepEqual({ err, code }, { err: '', code: 0 });
  });

  it('exits 1 for what a cluster would refuse', async () => {
    assert.equal((await command(workload('Deployment').replace('8080', '15081'))).code, 1);
  });

  it('reads a file, and names it', async () => {
    const file = join(dir, 'app.yaml');
    await writeFile(file, FAULTY);
    const { err } = await command('', { file, check: true });
    assert.ok(err.startsWith(`${file}:5: `));
  });

  it('a file that is not there is a usage error that names it', async () => {
    const file = join(dir, 'nowhere.yaml');
    await assert.rejects(
      command('', { file }),
      (error: Error & { code?: string }) => error.code === 'usage' && error.message.includes(file),
    );
  });

  it('is a yargs command module', () => {
    assert.equal(injectCommand.command, 'inject');
    assert.equal(typeof injectCommand.builder, 'function');
    assert.equal(typeof injectCommand.handler, 'function');
  });
});
