/** `slimfaas release`, against an API server that answers what a cluster seldom does. The rest is in test/cluster. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { wakeMetadata } from '../../common/kube/wake-slice.ts';
import { writeKubeconfig } from '../helpers/kubectl.ts';
import { serve } from '../helpers/serve.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

const WAKE_SLICE = {
  metadata: {
    namespace: 'shop',
    name: 'fn-slimfaas',
    ...wakeMetadata({ service: 'fn', wakes: 'fn', ports: [] }, 'slimfaas'),
  },
};
const SCALER = { metadata: { name: 'slimfaas-scaler' }, spec: { template: { spec: { containers: [] } } } };
const SYSTEM = '/apis/apps/v1/namespaces/slimfaas/deployments/slimfaas-scaler';
const SLICES = '/apis/discovery.k8s.io/v1';

/** By method and path; what is not here is an empty list. */
const ANSWERS: Readonly<Record<string, object>> = {
  [`GET ${SYSTEM}`]: SCALER,
  [`PATCH ${SYSTEM}`]: SCALER,
  'GET /api/v1/namespaces/slimfaas/pods': {
    items: [{ metadata: { name: 'evicted', namespace: 'slimfaas' }, status: { phase: 'Failed' } }],
  },
  [`GET ${SLICES}/endpointslices`]: { items: [WAKE_SLICE] },
  [`GET ${SLICES}/namespaces/shop/endpointslices`]: {
    items: [WAKE_SLICE, { endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }] }],
  },
};

test('an evicted pod of the scaler is no pod that runs, and a slice that is gone already is removed', async (t) => {
  const asked: string[] = [];
  const host = await serve(t, (request, response) => {
    const key = `${request.method} ${request.url?.split('?')[0]}`;
    asked.push(key);
    const isDelete = request.method === 'DELETE';
    response.writeHead(isDelete ? 404 : 200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(ANSWERS[key] ?? (isDelete ? { kind: 'Status' } : { items: [] })));
  });
  const { path, remove } = await writeKubeconfig(
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster: { server: `http://${host}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'test', user: {} }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    }),
  );
  t.after(remove);
  const args = [main, 'release', '--kubeconfig', path, '--wait', '5'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 0, err);
  assert.match(out, /stopped[\s\S]*1 EndpointSlices removed\nnow uninstall slimfaas/);
  assert.ok(asked.includes(`DELETE ${SLICES}/namespaces/shop/endpointslices/fn-slimfaas`));
});
