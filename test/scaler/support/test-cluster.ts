/**
 * The real local API server and a real nats-server for a test, and what a test says to a scaler as a user, a
 * proxy, a sidecar or a kubelet would. Nothing runs pods here: a test makes them and says that they are ready.
 */
import { silentLog } from '../../../common/runtime/log.ts';
import { encodeMessage, type ActivityMessage } from '../../../common/bus/messages.ts';
import { FUNCTION_LABEL, SIDECAR_CONTAINER } from '../../../common/function/names.ts';
import { openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import type { ApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { deploymentManifest, podManifest, startLocalApi, type AtEnd } from '../../helpers/local-api.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { isWorking, startTestScaler, type TestScaler, type TestScalerOptions } from './test-scaler.ts';

const IDLE: ActivityMessage = {
  source: 'sidecar',
  pod: '',
  running: 0,
  runningNow: 0,
  waiting: 0,
  started: 0,
  finished: 0,
  failed: 0,
  windowMs: 1_000,
};

export type Annotations = Readonly<Record<string, string>>;

export class TestCluster {
  readonly api: ApiServer;
  readonly nats: TestNats;
  /** Of a proxy or a sidecar: whoever the test speaks as. */
  readonly link: NatsLink;
  readonly #atEnd: AtEnd;
  #pods = 0;

  private constructor(parts: { api: ApiServer; nats: TestNats; link: NatsLink; atEnd: AtEnd }) {
    this.api = parts.api;
    this.nats = parts.nats;
    this.link = parts.link;
    this.#atEnd = parts.atEnd;
  }

  static async start(atEnd: AtEnd): Promise<TestCluster> {
    const [api, nats] = await Promise.all([startLocalApi(atEnd), startNats()]);
    const link = openNatsLink({ servers: nats.url, name: 'test', log: silentLog });
    atEnd(async () => {
      await link.stop();
      await nats.stop();
    });
    await waitFor(() => link.isConnected, { what: 'test connected to NATS' });
    return new TestCluster({ api, nats, link, atEnd });
  }

  /** A scaler that works; stopped at the end if the test does not stop it. */
  async scaler(
    flags: TestScalerOptions['flags'] = {},
    expected: { leads?: boolean } & Partial<TestScalerOptions> = {},
  ): Promise<TestScaler> {
    const { leads = true, ...options } = expected;
    const test = await startTestScaler({ api: this.api, natsUrl: this.nats.url, flags, ...options });
    this.#atEnd(() => test.scaler.stop());
    await isWorking(test, { leads });
    return test;
  }

  async deploy(name: string, annotations: Annotations, replicas = 0): Promise<KubeObject> {
    const manifest = deploymentManifest(name, { replicas });
    manifest['spec'].template.metadata.annotations = annotations;
    return this.api.api.create('deployments', manifest);
  }

  /** A function with a short idle timeout, unless the annotations say otherwise. */
  fn(name: string, annotations: Annotations = {}, replicas = 0): Promise<KubeObject> {
    return this.deploy(name, { 'SlimFaas/Function': 'true', ...annotations }, replicas);
  }

  replicasOf(name: string): number {
    return this.api.api.get('deployments', 'default', name)?.['spec'].replicas as number;
  }

  async hasReplicas(name: string, replicas: number, timeoutMs = 20_000): Promise<void> {
    const what = `${name} has ${replicas} replicas`;
    await waitFor(() => this.replicasOf(name) === replicas, { what, intervalMs: 1, timeoutMs });
  }

  /** A pod of the Deployment, as ReplicaSet, webhook and kubelet would leave it. @returns its name */
  async pod(fn: string, { isReady = true, annotations = {} as Annotations, ip = '' } = {}): Promise<string> {
    const name = `${fn}-5d4f8c7b9-${String(this.#pods++).padStart(5, '0')}`;
    const owner = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: `${fn}-5d4f8c7b9`,
      uid: 'u',
      controller: true,
    };
    const metadata = {
      labels: { [FUNCTION_LABEL]: fn, 'pod-template-hash': '5d4f8c7b9' },
      annotations,
      ownerReferences: [owner],
    };
    const main = { name: 'main', image: 'main:1' };
    const spec = { containers: [main, { name: SIDECAR_CONTAINER, image: 'slimfaas:1' }] };
    await this.api.api.create('pods', podManifest(name, { metadata, spec }));
    await this.setPod(name, { podIP: ip || `10.1.0.${this.#pods}`, isReady });
    return name;
  }

  async setPod(name: string, status: { podIP?: string; isReady: boolean }): Promise<void> {
    const conditions = [{ type: 'Ready', status: status.isReady ? 'True' : 'False' }];
    await this.api.api.modify(
      'pods',
      'default',
      name,
      (draft) => {
        draft['status'] = {
          ...draft['status'],
          phase: 'Running',
          conditions,
          podIP: status.podIP ?? draft['status'].podIP,
        };
      },
      'status',
    );
  }

  async setStatus(deployment: string, status: object): Promise<void> {
    const change = (draft: KubeObject) => {
      draft['status'] = { ...draft['status'], ...status };
    };
    await this.api.api.modify('deployments', 'default', deployment, change, 'status');
  }

  wake(name: string, waiting = 1): void {
    const subject = functionSubject('wake', { namespace: 'default', name });
    this.link.publish(subject, encodeMessage({ from: 'proxy', waiting }));
  }

  report(name: string, report: Partial<ActivityMessage> & { pod: string }): void {
    const subject = functionSubject('activity', { namespace: 'default', name });
    this.link.publish(subject, encodeMessage({ ...IDLE, ...report }));
  }

  events(name: string): { reason: string; message: string; type: string }[] {
    return this.api.api
      .list('events', { namespace: 'default' })
      .filter((event) => event['involvedObject']?.name === name)
      .map((event) => ({ reason: event['reason'], message: event['message'], type: event['type'] }));
  }
}
