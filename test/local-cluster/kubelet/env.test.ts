/** What a container finds: variables, arguments, files, its identity. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { startTestCluster } from '../../helpers/cluster.ts';
import { kubectl } from '../../helpers/kubectl.ts';
import { waitFor } from '../../helpers/wait.ts';
import { createNotes, idle, podOf, sh, untilPhase, untilReady } from '../support/pods.ts';

const cluster = await startTestCluster();
after(() => cluster.stop());
const { api } = cluster;

function create(kind: 'Secret' | 'ConfigMap', name: string, fields: object) {
  const resource = kind === 'Secret' ? 'secrets' : 'configmaps';
  const metadata = { name, namespace: 'default' } as KubeObject['metadata'];
  return api.create(resource, { apiVersion: 'v1', kind, metadata, ...fields });
}

await create('Secret', 'creds', { stringData: { user: 'anna', password: 's3cret' } });
await create('ConfigMap', 'settings', { data: { COLOUR: 'blue', 'app.yaml': 'a: 1\n' } });
await cluster.apply(`
apiVersion: v1
kind: Service
metadata: { name: my-db }
spec: { selector: { app: none }, ports: [{ name: sql, port: 3306 }] }`);

const DUMP = `require('node:fs').writeFileSync(process.argv[1], JSON.stringify({ env: process.env, args: process.argv.slice(2), cwd: process.cwd() }))`;

/** Runs a container to its end and hands back what it saw. */
async function seenBy(name: string, dir: string, container: object, spec: object = {}) {
  const out = join(dir, `${name}.json`);
  const { args = [], ...rest } = container as { args?: string[] };
  const main = { name: 'main', image: 'none:1', command: [process.execPath, '-e', DUMP, out], args, ...rest };
  await api.create('pods', podOf(name, { restartPolicy: 'Never', containers: [main], ...spec }));
  await untilPhase(api, name, 'Succeeded');
  return JSON.parse(readFileSync(out, 'utf8')) as {
    env: Record<string, string>;
    args: string[];
    cwd: string;
  };
}

describe('environment', { concurrency: true }, () => {
  test('values, fields, resources, secrets, config maps, in the order in which they can name each other', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    const { env, args } = await seenBy('variables', dir, {
      args: ['--at=$(ADDRESS)', '$(UNKNOWN)', '$$(ADDRESS)'],
      resources: { limits: { memory: '64Mi', cpu: '250m' }, requests: { cpu: '100m' } },
      envFrom: [
        { prefix: 'CRED_', secretRef: { name: 'creds' } },
        { configMapRef: { name: 'settings' } },
        { configMapRef: { name: 'absent', optional: true } },
      ],
      env: [
        { name: 'PLAIN', value: 'x' },
        { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
        { name: 'MEMORY', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
        { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
        { name: 'MILLI', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
        { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'creds', key: 'password' } } },
        { name: 'TINT', valueFrom: { configMapKeyRef: { name: 'settings', key: 'COLOUR' } } },
        { name: 'NONE', valueFrom: { secretKeyRef: { name: 'creds', key: 'none', optional: true } } },
        { name: 'ADDRESS', value: '$(IP):$(MY_DB_SERVICE_PORT)/$(CRED_user)' },
      ],
    });
    const ip = api.get('pods', 'default', 'variables')?.['status'].podIP as string;
    const expected = {
      PLAIN: 'x',
      POD: 'variables',
      LABEL: 'variables',
      IP: ip,
      NODE: 'local',
      MEMORY: '64',
      CPU: '1',
      MILLI: '100',
      PASSWORD: 's3cret',
      TINT: 'blue',
      CRED_user: 'anna',
      COLOUR: 'blue',
      HOSTNAME: 'variables',
      ADDRESS: `${ip}:3306/anna`,
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(env[name], value, name);
    assert.equal('NONE' in env, false);
    assert.equal('CRED_password' in env, true);
    assert.deepEqual(args, [`--at=${ip}:3306/anna`, '$(UNKNOWN)', '$(ADDRESS)']);
  });

  test('a service is found by its variables; enableServiceLinks: false leaves the API server only', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    const host = await waitFor(() => api.get('services', 'default', 'my-db')?.['spec'].clusterIP as string, {
      what: 'it has an address',
    });
    const { env } = await seenBy('links', dir, {});
    const expected = {
      MY_DB_SERVICE_HOST: host,
      MY_DB_SERVICE_PORT: '3306',
      MY_DB_SERVICE_PORT_SQL: '3306',
      MY_DB_PORT: `tcp://${host}:3306`,
      MY_DB_PORT_3306_TCP_ADDR: host,
      KUBERNETES_SERVICE_PORT: '6443',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(env[name], value, name);
    const without = await seenBy('nolinks', dir, {}, { enableServiceLinks: false });
    assert.equal('MY_DB_SERVICE_HOST' in without.env, false);
    assert.equal('KUBERNETES_SERVICE_HOST' in without.env, true);
  });

  test('the image table adds what makes a program listen on its pod; nothing of our own environment leaks', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    process.env['SLIMFAAS_TEST_LEAK'] = 'yes';
    const { env } = await seenBy('clean', dir, {});
    assert.equal('SLIMFAAS_TEST_LEAK' in env, false);
    assert.equal(env['HOST'], api.get('pods', 'default', 'clean')?.['status'].podIP);
  });

  test("KUBECONFIG is the pod's own service account, RBAC included", async (t) => {
    const notes = createNotes((release) => t.after(release));
    await cluster.apply(`
apiVersion: v1
kind: ServiceAccount
metadata: { name: robot }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: robot }
rules: [{ apiGroups: [''], resources: [configmaps], verbs: [get] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: robot }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: robot }
subjects: [{ kind: ServiceAccount, name: robot, namespace: default }]`);
    const script = `cp "$KUBECONFIG" ${notes.dir}/kubeconfig`;
    const spec = { serviceAccountName: 'robot', restartPolicy: 'Never', containers: [sh('main', script)] };
    await api.create('pods', podOf('identity', spec));
    await untilPhase(api, 'identity', 'Succeeded');
    const config = join(notes.dir, 'kubeconfig');
    assert.equal((await kubectl(config, ['get', 'configmap', 'settings'])).code, 0);
    assert.match(
      (await kubectl(config, ['get', 'secrets'])).stderr,
      /User "system:serviceaccount:default:robot" cannot list resource "secrets"/,
    );
    const { env } = await seenBy('nobody', notes.dir, {}, { automountServiceAccountToken: false });
    assert.equal('KUBECONFIG' in env, false);
  });
});

describe('volumes', { concurrency: true }, () => {
  test('secrets, config maps and the downward API are files, at the paths that the manifest says', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    const volumes = [
      { name: 'creds', secret: { secretName: 'creds', items: [{ key: 'user', path: 'who/name' }] } },
      { name: 'conf', configMap: { name: 'settings' } },
      {
        name: 'all',
        projected: {
          sources: [
            { downwardAPI: { items: [{ path: 'pod', fieldRef: { fieldPath: 'metadata.name' } }] } },
            { serviceAccountToken: { path: 'token' } },
          ],
        },
      },
    ];
    const volumeMounts = [
      { name: 'creds', mountPath: '/etc/creds' },
      { name: 'conf', mountPath: '/etc/conf.yaml', subPath: 'app.yaml' },
      { name: 'all', mountPath: '/var/all' },
    ];
    const script = `for f in /etc/creds/who/name /etc/conf.yaml /var/all/pod; do cat $f; echo; done > ${dir}/out; test -s /var/all/token`;
    const spec = { restartPolicy: 'Never', volumes, containers: [sh('main', script, { volumeMounts })] };
    await api.create('pods', podOf('files', spec));
    await untilPhase(api, 'files', 'Succeeded');
    assert.equal(readFileSync(join(dir, 'out'), 'utf8'), 'anna\na: 1\n\nfiles\n');
  });

  test("an emptyDir is shared by the pod's containers and gone with it", async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    const volumeMounts = [{ name: 'tmp', mountPath: '/tmp/shared' }];
    const spec = {
      volumes: [{ name: 'tmp', emptyDir: {} }],
      initContainers: [
        sh('writer', 'echo hello > /tmp/shared/x; echo /tmp/shared > "$OUT"', {
          volumeMounts,
          env: [{ name: 'OUT', value: `${dir}/where` }],
        }),
      ],
      containers: [sh('reader', 'test "$(cat /tmp/shared/x)" = hello && exec sleep 1000', { volumeMounts })],
    };
    await api.create('pods', podOf('shared', spec));
    await untilReady(api, 'shared');
    const where = readFileSync(join(dir, 'where'), 'utf8').trim();
    assert.ok(existsSync(where));
    await api.delete('pods', 'default', 'shared');
    await waitFor(() => !existsSync(where), { what: 'the folder is gone' });
  });

  test('a claim keeps its files over pods', async () => {
    await cluster.apply(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: kept }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }`);
    await waitFor(() => api.get('persistentvolumeclaims', 'default', 'kept')?.['status']?.phase === 'Bound', {
      what: 'it is bound',
    });
    const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'kept' } }];
    const volumeMounts = [{ name: 'data', mountPath: '/data' }];
    for (const [name, script] of [
      ['writes', 'echo 1 > /data/x'],
      ['reads', 'test -s /data/x'],
    ] as const) {
      await api.create(
        'pods',
        podOf(name, { restartPolicy: 'Never', volumes, containers: [sh('main', script, { volumeMounts })] }),
      );
      await untilPhase(api, name, 'Succeeded');
      await api.delete('pods', 'default', name);
    }
  });

  test('a changed Secret is written out again', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    await create('Secret', 'turning', { stringData: { key: 'old', gone: 'x' } });
    const volumes = [{ name: 'keys', secret: { secretName: 'turning' } }];
    const script = `until grep new /keys/key && test ! -e /keys/gone; do sleep 0.02; done; touch ${dir}/seen; exec sleep 1000`;
    const containers = [
      sh('main', script, { volumeMounts: [{ name: 'keys', mountPath: '/keys' }] }),
      idle('other'),
    ];
    await api.create('pods', podOf('turning', { volumes, containers }));
    await untilReady(api, 'turning');
    await api.modify('secrets', 'default', 'turning', (secret) => {
      secret['data'] = { key: Buffer.from('new').toString('base64') };
    });
    await waitFor(() => existsSync(join(dir, 'seen')), { what: 'the container sees it' });
  });
});
