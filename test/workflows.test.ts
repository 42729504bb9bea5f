/** The workflow files: valid by their schema, and what they run is there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { validateWorkflow } from '@action-validator/core';
import { parse } from 'yaml';
import manifest from '../package.json' with { type: 'json' };

const root = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = '.github/workflows';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, { readonly steps?: readonly Step[]; readonly uses?: string }>>;
}

for (const name of readdirSync(join(root, FOLDER)))
  describe(name, () => {
    const text = readFileSync(join(root, FOLDER, name), 'utf8');
    const workflow = parse(text) as Workflow;
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps ?? []);
    const commands = steps.flatMap(({ run = '' }) => run.split('\n'));

    it('is a workflow by the schema', () => assert.deepEqual(validateWorkflow(text).errors, []));

    it('may read the repository, and no more unless a job says so', () =>
      assert.deepEqual(workflow.permissions, { contents: 'read' }));

    it('runs scripts and builds files that there are', () => {
      for (const [, script = ''] of commands.join('\n').matchAll(/npm run (\S+)/g))
        assert.ok(script in manifest.scripts, script);
      const files = [
        ...commands.flatMap((line) => /-f (\S+)/.exec(line)?.[1] ?? []),
        ...steps.flatMap((step) => (step.with?.['file'] as string | undefined) ?? []),
        ...commands.filter((line) => line.startsWith('.ci/')),
      ];
      for (const file of files) assert.ok(existsSync(join(root, file)), file);
      for (const { uses = '' } of Object.values(workflow.jobs))
        assert.ok(uses === '' || existsSync(join(root, uses)), uses);
    });

    it('takes each action of a version', () => {
      for (const { uses } of steps) if (uses !== undefined) assert.match(uses, /^[\w-]+\/[\w-]+@v\d+$/);
    });
  });

const purlOf = (name: string) => `pkg:npm/${name.replace('@', '%40')}@`;

describe('what is published', () => {
  const { jobs } = parse(readFileSync(join(root, FOLDER, 'publish.yml'), 'utf8')) as Workflow;
  const images = (jobs['image']?.steps ?? []).filter(({ uses }) => uses?.startsWith('docker/build-push'));

  it('both images, for amd64 and arm64', () => {
    assert.deepEqual(
      images.map((step) => step.with?.['file']),
      ['manifests/Dockerfile', 'manifests/demo/Dockerfile'],
    );
    for (const step of images) assert.equal(step.with?.['platforms'], 'linux/amd64,linux/arm64');
  });

  it('signed: the image by its digest, and the list of its packages', () => {
    const step = (jobs['image']?.steps ?? []).find(({ run }) => run?.includes('cosign sign'));
    assert.ok(step?.env?.['IMAGE']?.endsWith('@${{ steps.product.outputs.digest }}'), 'by digest');
    assert.match(
      step?.run ?? '',
      /npm run sbom .*> (\S+)\n.*cosign sign .*"\$IMAGE"\n.*--predicate \1 "\$IMAGE"/s,
    );
  });

  it('with a list of packages: what is installed for use, nothing of what only tests need', async () => {
    const { stdout } = await promisify(execFile)('npm', ['run', 'sbom', '--silent'], {
      cwd: root,
      maxBuffer: 1e8,
    });
    const { components } = JSON.parse(stdout) as { components: readonly { purl: string }[] };
    const listed = (name: string) => components.some(({ purl }) => purl.startsWith(purlOf(name)));
    const { dependencies, devDependencies } = manifest;
    const own = Object.entries(dependencies).flatMap(([name, range]) =>
      range.startsWith('npm:') ? [] : [name],
    );
    assert.deepEqual(
      own.filter((name) => !listed(name)),
      [],
    );
    assert.deepEqual(
      ['oxlint', 'prettier', 'typescript'].filter((name) => name in devDependencies && listed(name)),
      [],
    );
  });

  it('dist/, not the repository: that one is private', () => {
    assert.equal(manifest.private, true);
    assert.ok(jobs['npm']?.steps?.some(({ run }) => run?.startsWith('npm publish ./dist ')));
  });
});
