import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ApiServer } from '../../packages/local-cluster/api/http/server.ts';
import { kubectl, writeKubeconfig, type KubectlResult } from '../helpers/kubectl.ts';
import { startLocalApi } from '../helpers/local-api.ts';
import { readManifests } from './manifests.ts';

function path(name: string): string {
  return fileURLToPath(new URL(`../../manifests/${name}`, import.meta.url));
}

describe('the manifests, applied by a real kubectl', () => {
  let server: ApiServer;
  let kubeconfig: string;
  const releases: (() => unknown)[] = [];
  before(async () => {
    server = await startLocalApi((release) => releases.push(release));
    const file = await writeKubeconfig(server.kubeconfig());
    kubeconfig = file.path;
    releases.push(file.remove);
  });
  after(async () => {
    for (const release of releases.toReversed()) await release();
  });

  const apply = (name: string, ...flags: string[]): Promise<KubectlResult> =>
    kubectl(kubeconfig, ['apply', '-f', path(name), ...flags]);

  for (const name of ['install.yaml', 'demo/functions.yaml', 'demo/mysql.yaml']) {
    it(`${name}: every object is created`, async () => {
      const { stdout, stderr, code } = await apply(name);
      assert.equal(stderr, '');
      assert.equal(code, 0);
      const lines = stdout.trim().split('\n');
      assert.equal(lines.length, readManifests(name).length);
      assert.ok(lines.every((line) => line.endsWith(' created')));
    });

    it(`${name}: applied again, nothing changes`, async () => {
      const { stdout, code } = await apply(name);
      assert.equal(code, 0);
      const changed = stdout
        .trim()
        .split('\n')
        .filter((line) => !line.endsWith(' unchanged'));
      // Of these kubectl always says "configured": their selector is replaced as a whole in every patch.
      assert.deepEqual(
        changed.filter((line) => !line.startsWith('poddisruptionbudget')),
        [],
      );
    });
  }

  it('a field that Kubernetes does not know would have failed the tests above', async () => {
    const text = readFileSync(path('install.yaml'), 'utf8').replace(
      'terminationGracePeriodSeconds',
      'graceSeconds',
    );
    const { stderr, code } = await kubectl(kubeconfig, ['apply', '-f', '-'], { input: text });
    assert.notEqual(code, 0);
    assert.match(stderr, /unknown field "spec\.template\.spec\.graceSeconds"/);
  });

  it('an upgrade leaves the caBundle that the webhook filled in', async () => {
    const bundle = Buffer.from('-----BEGIN CERTIFICATE-----\n').toString('base64');
    await server.api.modify('mutatingwebhookconfigurations', undefined, 'slimfaas', (draft) => {
      draft['webhooks'][0].clientConfig.caBundle = bundle;
    });
    assert.equal((await apply('install.yaml')).code, 0);
    const found = server.api.get('mutatingwebhookconfigurations', undefined, 'slimfaas');
    assert.equal(found?.['webhooks'][0].clientConfig.caBundle, bundle);
  });
});
