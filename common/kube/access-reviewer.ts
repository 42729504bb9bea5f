/** Kubernetes as the {@link Reviewer} of tokens and rights: TokenReview, then SubjectAccessReview. */
import { AuthenticationV1Api, AuthorizationV1Api } from '@kubernetes/client-node';
import {
  ACCESS_AUDIENCE,
  ACCESS_GROUP,
  ACCESS_RESOURCE,
  type AccessUser,
  type Gate,
  type AccessQuestion,
  type Reviewer,
} from '../access/gate.ts';
import type { AccessConfig } from '../access/access-flags.ts';
import { gateOf } from '../access/open-gate.ts';
import type { KubeClients } from './client.ts';

/**
 * The gate of a part, as its flags say.
 * @throws UsageError for a mode without what it needs
 */
export function openGate(
  config: AccessConfig & { readonly namespaces: readonly string[] },
  kube: Pick<KubeClients, 'config'>,
  now: () => number = () => performance.now(),
): Gate {
  return gateOf(config, { reviewer: createAccessReviewer(kube), namespaces: config.namespaces, now });
}

function createAccessReviewer({ config }: Pick<KubeClients, 'config'>): Reviewer {
  const authentication = config.makeApiClient(AuthenticationV1Api);
  const authorization = config.makeApiClient(AuthorizationV1Api);
  return {
    async userOf(token) {
      const spec = { token, audiences: [ACCESS_AUDIENCE] };
      const { status } = await authentication.createTokenReview({ body: { spec } });
      // A server that knows no audiences answers without them, and then the token may be one for itself.
      const isForUs = status?.audiences?.includes(ACCESS_AUDIENCE) ?? false;
      const { username, uid, groups = [], extra } = status?.user ?? {};
      return status?.authenticated && isForUs && username ? { username, uid, groups, extra } : undefined;
    },
    async may(user, question) {
      const { status } = await authorization.createSubjectAccessReview({
        body: { spec: specOf(user, question) },
      });
      return status?.allowed ?? false;
    },
  };
}

function specOf(
  { username, uid, groups, extra }: AccessUser,
  { subresource, namespace, name, verb }: AccessQuestion,
) {
  return {
    user: username,
    groups: [...groups],
    ...(uid && { uid }),
    ...(extra && {
      extra: Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]])),
    }),
    resourceAttributes: {
      group: ACCESS_GROUP,
      resource: ACCESS_RESOURCE,
      verb,
      ...(subresource && { subresource }),
      ...(namespace && { namespace }),
      ...(name && { name }),
    },
  };
}
