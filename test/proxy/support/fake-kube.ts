/**
 * The part of the Kubernetes API that the proxy uses, over plain HTTP for the real client library: list and
 * watch of Deployments, StatefulSets, pods and EndpointSlices. A test puts objects in; it can cut the watches and go away.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  AppsV1Api,
  AdmissionregistrationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
} from '@kubernetes/client-node';
import type { KubeClients } from '../../../common/kube/client.ts';

type Kind = 'Deployment' | 'StatefulSet' | 'Pod' | 'EndpointSlice';

export interface FakeObject {
  kind: Kind;
  metadata: { name: string; namespace: string; uid?: string; [field: string]: unknown };
  [field: string]: unknown;
}

interface Watcher {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly res: ServerResponse;
}

const KINDS: Record<string, Kind> = {
  deployments: 'Deployment',
  statefulsets: 'StatefulSet',
  pods: 'Pod',
  endpointslices: 'EndpointSlice',
};
const API_VERSIONS: Partial<Record<Kind, string>> = { Pod: 'v1', EndpointSlice: 'discovery.k8s.io/v1' };

export class FakeKube implements AsyncDisposable {
  readonly #objects = new Map<string, FakeObject>();
  readonly #watchers = new Set<Watcher>();
  /** Everything that happened, so that a watch goes on where its list ended. */
  readonly #events: { version: number; type: string; object: FakeObject }[] = [];
  readonly #server = createServer((req, res) => this.#serve(req, res));
  #version = 1;
  isAway = false;
  /** Tokens that are good for the audience slimfaas, and whose they are. */
  readonly tokens = new Map<string, string>();
  /** What an access review answers. */
  may: (user: string, attributes: Record<string, string>) => boolean = () => false;
  /** Secrets by their names, in any namespace. */
  readonly secrets = new Map<string, Record<string, string>>();
  /** Reviews that were asked for. */
  reviews = 0;

  static async start(): Promise<FakeKube> {
    const kube = new FakeKube();
    kube.#server.listen(0, '127.0.0.1');
    await once(kube.#server, 'listening');
    return kube;
  }

  get clients(): KubeClients {
    const { port } = this.#server.address() as AddressInfo;
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'fake', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
      { name: 'nobody' },
    );
    return {
      config,
      apps: config.makeApiClient(AppsV1Api),
      core: config.makeApiClient(CoreV1Api),
      coordination: config.makeApiClient(CoordinationV1Api),
      admission: config.makeApiClient(AdmissionregistrationV1Api),
      discovery: config.makeApiClient(DiscoveryV1Api),
    };
  }

  set(object: FakeObject): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    const version = String(++this.#version);
    const stored: FakeObject = {
      apiVersion: API_VERSIONS[object.kind] ?? 'apps/v1',
      ...object,
      metadata: {
        uid: known?.metadata.uid ?? `uid-${version}`,
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...object.metadata,
        resourceVersion: version,
      },
    };
    this.#objects.set(key, stored);
    this.#tell(known ? 'MODIFIED' : 'ADDED', stored);
  }

  delete(kind: Kind, namespace: string, name: string): void {
    const key = `${kind}/${namespace}/${name}`;
    const object = this.#objects.get(key);
    if (!object) return;
    this.#objects.delete(key);
    this.#tell('DELETED', {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(++this.#version) },
    });
  }

  /** Forgets an object without telling anybody, as a watch that missed an event would have it. */
  deleteUnseen(kind: Kind, namespace: string, name: string): void {
    this.#objects.delete(`${kind}/${namespace}/${name}`);
  }

  /** Every watch ends with 410 Gone: its client has to list again. */
  expireWatches(): void {
    for (const watcher of this.#watchers) {
      watcher.res.end(
        `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`,
      );
    }
  }

  setAway(isAway: boolean): void {
    this.isAway = isAway;
    if (isAway) this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #tell(type: string, object: FakeObject): void {
    this.#events.push({ version: this.#version, type, object });
    for (const watcher of this.#watchers) {
      if (watcher.kind === object.kind && isIn(watcher.namespace, object))
        watcher.res.write(`${JSON.stringify({ type, object })}\n`);
    }
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    if (this.isAway) return void req.socket.destroy();
    const url = new URL(req.url ?? '', 'http://fake');
    if (req.method === 'POST') return void this.#review(req, res);
    const secret = /^\/api\/v1\/namespaces\/[^/]+\/secrets\/([^/]+)$/.exec(url.pathname)?.[1];
    if (secret !== undefined) return this.#secret(secret, res);
    const match =
      /^\/(?:api\/v1|apis\/apps\/v1|apis\/discovery\.k8s\.io\/v1)(?:\/namespaces\/([^/]+))?\/([a-z]+)$/.exec(
        url.pathname,
      );
    const kind = KINDS[match?.[2] ?? ''];
    if (!kind) return void res.writeHead(404).end();
    res.writeHead(200, { 'Content-Type': 'application/json' });
    if (url.searchParams.get('watch') === 'true') {
      return this.#watch(
        { kind, namespace: match?.[1], res },
        Number(url.searchParams.get('resourceVersion')),
      );
    }
    const items = [...this.#objects.values()].filter((o) => o.kind === kind && isIn(match?.[1], o));
    res.end(
      JSON.stringify({ kind: `${kind}List`, metadata: { resourceVersion: String(this.#version) }, items }),
    );
  }

  #secret(name: string, res: ServerResponse): void {
    const entries = this.secrets.get(name);
    res.writeHead(entries ? 200 : 404, { 'Content-Type': 'application/json' });
    const data = mapValues(entries ?? {}, (text) => Buffer.from(text).toString('base64'));
    res.end(JSON.stringify(entries ? { kind: 'Secret', apiVersion: 'v1', metadata: { name }, data } : {}));
  }

  async #review(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.reviews += 1;
    const { spec } = JSON.parse(await text(req)) as {
      spec: { token?: string; user?: string; resourceAttributes?: Record<string, string> };
    };
    const username = this.tokens.get(spec.token ?? '');
    const status =
      spec.token === undefined
        ? { allowed: this.may(spec.user ?? '', spec.resourceAttributes ?? {}) }
        : username !== undefined && { authenticated: true, audiences: ['slimfaas'], user: { username } };
    res.writeHead(201, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ status: status || { authenticated: false } }));
  }

  #watch(watcher: Watcher, since: number): void {
    this.#watchers.add(watcher);
    watcher.res.flushHeaders();
    for (const { version, type, object } of this.#events) {
      if (version > since && object.kind === watcher.kind && isIn(watcher.namespace, object))
        watcher.res.write(`${JSON.stringify({ type, object })}\n`);
    }
    watcher.res.once('close', () => this.#watchers.delete(watcher));
  }
}

function mapValues(entries: Record<string, string>, change: (text: string) => string): object {
  return Object.fromEntries(Object.entries(entries).map(([key, text]) => [key, change(text)]));
}

function keyOf(object: FakeObject): string {
  return `${object.kind}/${object.metadata.namespace}/${object.metadata.name}`;
}

function isIn(namespace: string | undefined, object: FakeObject): boolean {
  return namespace === undefined || object.metadata.namespace === namespace;
}
