/** A NATS server without a volume, for releases that bring none: volumes are scarce on small clusters. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { KeyPair } from '../../../common/tls/key-pair.ts';
import { CHART } from '../../../manifests/helm.ts';
import type { Clients } from './clients.ts';
import { RESTRICTED } from './functions.ts';
import { makeNamespace } from './release.ts';
import type { RunContext } from './settings.ts';
import { until } from './world.ts';

export interface OwnServer {
  /** By which pods reach it. */
  readonly url: string;
  /** Sends it another configuration, which counts after {@link reload}. */
  give(config: string): Promise<void>;
  /** Has it read what was sent last. */
  reload(): Promise<void>;
}

export interface OwnServerOptions {
  /** Absent: it has no TLS. */
  readonly pair?: KeyPair;
  /** Whom it lets in; absent: everybody. */
  readonly config?: string;
}

const FILES = '/files';

export async function openNats(
  clients: Clients,
  context: RunContext,
  namespace: string,
  { pair, config = '' }: OwnServerOptions = {},
): Promise<OwnServer> {
  await makeNamespace(clients, context, namespace);
  const values = parse(await readFile(join(CHART, 'values.yaml'), 'utf8')) as { nats: { image: string } };
  const labels = { app: 'own-nats' };
  const metadata = { name: 'own-nats', namespace };
  const tls = pair ? `tls { cert_file: "${FILES}/tls.crt", key_file: "${FILES}/tls.key" }\n` : '';
  let given = '';
  const give = (who: string): Promise<void> => {
    // A server takes no empty file.
    given = `server_name: own-nats\n${tls}${who}`;
    return clients.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata,
      stringData: { 'nats.conf': given, 'tls.crt': pair?.certificate ?? '', 'tls.key': pair?.key ?? '' },
    });
  };
  await give(config);
  const files = { name: 'files', mountPath: FILES };
  const container = {
    name: 'nats',
    image: values.nats.image,
    args: ['--port', '4222', '--jetstream', '--store_dir', '/data', '--config', `${FILES}/nats.conf`],
    readinessProbe: { tcpSocket: { port: 4222 }, periodSeconds: 1 },
    securityContext: RESTRICTED,
    volumeMounts: [{ name: 'data', mountPath: '/data' }, files],
  };
  // NATS's image has no shell to send a signal with.
  const helper = {
    name: 'helper',
    image: context.settings.image,
    command: ['node', '-e', 'setInterval(() => undefined, 1e9)'],
    securityContext: RESTRICTED,
    volumeMounts: [files],
  };
  const pod = {
    shareProcessNamespace: true,
    terminationGracePeriodSeconds: 1,
    containers: [container, helper],
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'files', secret: { secretName: metadata.name } },
    ],
  };
  await clients.apply(
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports: [{ port: 4222 }] } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
    },
  );
  await clients.kubectl(['rollout', 'status', '-n', namespace, 'deployment/own-nats', '--timeout=60s']);
  const service = await clients.get(`/api/v1/namespaces/${namespace}/services/own-nats`);
  return {
    url: `nats://${String(service?.['spec'].clusterIP)}:4222`,
    give,
    async reload() {
      const inHelper = ['exec', '-n', namespace, 'deployment/own-nats', '-c', 'helper', '--', 'node', '-e'];
      const isThere = async () => (await clients.kubectl([...inHelper, READ_CONFIG])).trim() === given.trim();
      // The kubelet brings a Secret to its pods within a minute or two.
      await until(isThere, 'the new configuration is in the pod', 180_000);
      await clients.kubectl([...inHelper, RELOAD]);
    },
  };
}

const READ_CONFIG = `console.log(require('node:fs').readFileSync('${FILES}/nats.conf', 'utf8'))`;
const RELOAD = `
const fs = require('node:fs');
const isServer = (pid) => {
  try {
    return fs.readFileSync('/proc/' + pid + '/comm', 'utf8').trim() === 'nats-server';
  } catch {
    return false;
  }
};
process.kill(Number(fs.readdirSync('/proc').find((name) => /^\\d+$/.test(name) && isServer(name))), 'SIGHUP');`;
