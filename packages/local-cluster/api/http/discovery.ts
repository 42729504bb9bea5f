/**
 * What clients ask to discover the API: versions, groups and resources, in the plain and in the aggregated form. The
 * aggregated form saves kubectl a request for each group. There is just enough OpenAPI for `kubectl apply` to leave
 * validation to the server. `kubectl explain` would need real schemas and is not served.
 */
import { apiVersionOf, KINDS } from '../objects/kinds.ts';
import type { Kind } from '../objects/kinds.ts';

/** What this API resembles; kubectl warns when its own version is more than one minor away. */
const KUBERNETES_VERSION = { major: '1', minor: '35', gitVersion: 'v1.35.0' };

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const SUBRESOURCE_VERBS = ['get', 'patch', 'update'];

interface Subresource {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly verbs: readonly string[];
}

function subresources({ resource, kind, group, version, hasStatus, hasScale }: Kind): Subresource[] {
  const own = { kind, group, version };
  const list: Subresource[] = [];
  if (hasStatus) list.push({ name: 'status', ...own, verbs: SUBRESOURCE_VERBS });
  if (hasScale) {
    list.push({
      name: 'scale',
      kind: 'Scale',
      group: 'autoscaling',
      version: 'v1',
      verbs: SUBRESOURCE_VERBS,
    });
  }
  if (resource !== 'pods') return list;
  return [
    ...list,
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'log', ...own, verbs: ['get'] },
  ];
}

/** `v1` → its kinds, in the table's order. */
const BY_API_VERSION = Map.groupBy(KINDS, apiVersionOf);

function resourceList(groupVersion: string, kinds: readonly Kind[]): object {
  const resources = kinds.flatMap((kind) => {
    const shared = { namespaced: kind.isNamespaced, singularName: kind.singular };
    const own = {
      ...shared,
      name: kind.resource,
      kind: kind.kind,
      verbs: VERBS,
      shortNames: kind.shortNames,
      categories: kind.inAll ? ['all'] : [],
    };
    const others = subresources(kind).map((sub) =>
      Object.assign({}, shared, sub, { name: `${kind.resource}/${sub.name}` }),
    );
    return [own, ...others];
  });
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

function group([groupVersion, [first]]: [string, Kind[]]): object {
  const version = { groupVersion, version: first!.version };
  return { name: first!.group, versions: [version], preferredVersion: version };
}

const NAMED_GROUPS = [...BY_API_VERSION].filter(([groupVersion]) => groupVersion !== 'v1');

/** Everything in one answer; without it kubectl would ask for each of the dozen groups. */
function aggregated(entries: readonly [string, Kind[]][]): object {
  const items = entries.map(([, kinds]) => ({
    metadata: { name: kinds[0]!.group, creationTimestamp: null },
    versions: [
      { version: kinds[0]!.version, freshness: 'Current', resources: kinds.map(aggregatedResource) },
    ],
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function aggregatedResource(kind: Kind): object {
  const { group, version } = kind;
  return {
    resource: kind.resource,
    responseKind: { group, version, kind: kind.kind },
    scope: kind.isNamespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: VERBS,
    shortNames: kind.shortNames,
    categories: kind.inAll ? ['all'] : [],
    subresources: subresources(kind).map(({ name, verbs, ...responseKind }) => ({
      subresource: name,
      responseKind,
      verbs,
    })),
  };
}

/**
 * `kubectl apply` looks in the PATCH operation of a kind for the parameter `fieldValidation`; if it is there
 * the server validates, and kubectl needs no schema.
 */
function openApi(kinds: readonly Kind[]): object {
  const parameter = { name: 'fieldValidation', in: 'query', schema: { type: 'string' } };
  const paths = kinds.map(({ group, version, kind, resource }) => [
    `/${resource}/{name}`,
    {
      patch: {
        parameters: [parameter],
        responses: { 200: { description: 'OK' } },
        'x-kubernetes-action': 'patch',
        'x-kubernetes-group-version-kind': { group, version, kind },
      },
    },
  ]);
  const info = { title: 'slimfaas local', version: KUBERNETES_VERSION.gitVersion };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths) as object };
}

function urlOf(groupVersion: string): string {
  return groupVersion === 'v1' ? 'api/v1' : `apis/${groupVersion}`;
}

const OPEN_API_INDEX = {
  paths: Object.fromEntries(
    [...BY_API_VERSION.keys()].map((groupVersion) => {
      const url = urlOf(groupVersion);
      return [url, { serverRelativeURL: `/openapi/v3/${url}` }];
    }),
  ),
};

/**
 * For a kind that no group has, kubectl falls back to the OpenAPI document of version 2, in protobuf. An empty one
 * (no bytes) lets it go on to report that there is no such kind.
 */
const EMPTY_OPEN_API = {
  contentType: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
  body: '',
};

const AGGREGATED_TYPE = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

export interface DiscoveryAnswer {
  readonly contentType: string;
  readonly body: string;
}

function plainAnswer(path: string): unknown {
  if (path === '/version') return { ...KUBERNETES_VERSION, platform: 'linux/amd64', goVersion: 'go1.25' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: NAMED_GROUPS.map(group) };
  if (path === '/openapi/v3') return OPEN_API_INDEX;
  for (const entry of BY_API_VERSION) {
    const [groupVersion, kinds] = entry;
    const url = urlOf(groupVersion);
    if (path === `/${url}`) return resourceList(groupVersion, kinds);
    if (path === `/openapi/v3/${url}`) return openApi(kinds);
    if (path === `/apis/${kinds[0]!.group}`) return { kind: 'APIGroup', apiVersion: 'v1', ...group(entry) };
  }
  return undefined;
}

/** Undefined when the path is no question of this sort. */
export function discover(path: string, accept: string): DiscoveryAnswer | undefined {
  if (path === '/openapi/v2') return EMPTY_OPEN_API;
  const wantsAggregated = accept
    .split(',')
    .some((type) => /as=APIGroupDiscoveryList/.test(type) && /v=v2(;|$)/.test(type));
  if (wantsAggregated && (path === '/api' || path === '/apis')) {
    const core = [...BY_API_VERSION].filter(([groupVersion]) => groupVersion === 'v1');
    return {
      contentType: AGGREGATED_TYPE,
      body: JSON.stringify(aggregated(path === '/api' ? core : NAMED_GROUPS)),
    };
  }
  const body = plainAnswer(path);
  return body === undefined ? undefined : { contentType: 'application/json', body: JSON.stringify(body) };
}
