/**
 * The real proxy as a process of its own, with one function whose pods are ready, so that nothing is woken:
 * `node proxy.ts <port> <nats url> <function> <pod ip>[,<pod ip>…] <places a pod> <key of proofs>`. Its
 * Kubernetes is the tests' small one, in this process and idle once the watch has begun.
 */
import '../../../cli/parts/v8-flags.ts';
import { readSeed } from '../../../common/identity/nkey.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { proxyFlags } from '../../../proxy/flags.ts';
import { startProxy } from '../../../proxy/start.ts';
import { FakeKube } from '../../../test/proxy/support/fake-kube.ts';

const [port, url, name, ips, perPod, seed] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const SECRET = 'slimfaas-proxy-keys';
const kube = await FakeKube.start();
kube.secrets.set(SECRET, { 'key-1.nk': seed });
const env = [{ name: 'SLIMFAAS_PROXY_KEYS', value: readSeed('user', seed).publicKey }];
const annotations = { 'SlimFaas/Function': 'true', 'SlimFaas/NumberParallelRequestPerPod': perPod };
const spec = { replicas: 1, template: { metadata: { annotations }, spec: { containers: [] } } };
kube.set({ kind: 'Deployment', metadata: { name, namespace: 'default' }, spec, status: {} });
for (const [index, ip] of ips.split(',').filter(Boolean).entries())
  kube.set({
    kind: 'Pod',
    metadata: {
      name: `${name}-abc-${index + 1}`,
      namespace: 'default',
      labels: { 'pod-template-hash': 'abc', 'slimfaas.dev/function': name },
      annotations,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name}-abc`, uid: 'u', controller: true },
      ],
    },
    spec: { containers: [{ name: 'app' }, { name: 'slimfaas-sidecar', env }] },
    status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: 'True' }] },
  });
const nats = openNatsLink({ servers: url, name: 'proxy', log: silentLog });
// A burst of bodies of 2 MiB has more memory than one function may have of the default.
const flags = [
  '--host=127.0.0.1',
  `--port=${port}`,
  '--metrics-port=0',
  '--upload-bytes=268435456',
  `--proxy-keys-secret=${SECRET}`,
];
const config = readFlags(proxyFlags, flags, {});
await startProxy(config, {
  log: silentLog,
  kube: kube.clients,
  nats,
  registry: createRegistry('proxy', '0'),
});
process.on('SIGTERM', () => process.exit(0));
