/**
 * Role-based access control, evaluated from the stored roles and bindings at each request. So a rule that is missing
 * in a manifest fails here and not first in production. Left out: aggregation, escalation checks and rules for
 * non-resource URLs (discovery is open to everyone who has a token).
 */
import { MASTERS } from '../http/auth.ts';
import type { User } from '../http/auth.ts';
import type { Store } from '../objects/store.ts';
import type { KubeObject } from '../objects/types.ts';

export interface AccessRequest {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  /** Undefined for list, watch, create and deletecollection: rules with resourceNames then never match. */
  readonly name?: string | undefined;
}

interface RoleRule {
  readonly verbs?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
}

interface Subject {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

function includes(list: readonly string[] | undefined, wanted: string): boolean {
  return list !== undefined && (list.includes('*') || list.includes(wanted));
}

/** `deployments` does not cover `deployments/scale`: the mistake that this evaluation is here to show. */
function coversResource(rule: RoleRule, { resource, subresource }: AccessRequest): boolean {
  if (subresource === undefined) return includes(rule.resources, resource);
  return (
    includes(rule.resources, `${resource}/${subresource}`) || includes(rule.resources, `*/${subresource}`)
  );
}

function allows(rule: RoleRule, request: AccessRequest): boolean {
  if (!includes(rule.verbs, request.verb) || !includes(rule.apiGroups, request.group)) return false;
  if (!coversResource(rule, request)) return false;
  if (!rule.resourceNames?.length) return true;
  return request.name !== undefined && rule.resourceNames.includes(request.name);
}

function isSubject(subject: Subject, user: User, bindingNamespace: string | undefined): boolean {
  if (subject.kind === 'User') return subject.name === user.username;
  if (subject.kind === 'Group') return user.groups.includes(subject.name);
  const namespace = subject.namespace ?? bindingNamespace;
  return user.username === `system:serviceaccount:${namespace}:${subject.name}`;
}

/** A binding to a role that does not exist grants nothing, and is no error: they may come in any order. */
function rulesOf(store: Store, binding: KubeObject): readonly RoleRule[] {
  const { kind, name } = binding.roleRef as { kind: string; name: string };
  const role =
    kind === 'ClusterRole'
      ? store.get('clusterroles', undefined, name)
      : store.get('roles', binding.metadata.namespace, name);
  return (role?.rules ?? []) as RoleRule[];
}

export function isAllowed(store: Store, user: User, request: AccessRequest): boolean {
  if (user.groups.includes(MASTERS)) return true;
  const bindings = store.list('clusterrolebindings');
  // A RoleBinding reaches no further than its namespace, even where it refers to a ClusterRole.
  if (request.namespace !== undefined) bindings.push(...store.list('rolebindings', request.namespace));
  return bindings.some(
    (binding) =>
      ((binding.subjects ?? []) as Subject[]).some((subject) =>
        isSubject(subject, user, binding.metadata.namespace),
      ) && rulesOf(store, binding).some((rule) => allows(rule, request)),
  );
}

/** The second half of the 403's message. */
export function describeDenial(user: User, request: AccessRequest): string {
  const { verb, group, resource, subresource, namespace } = request;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return `User "${user.username}" cannot ${verb} resource "${what}" in API group "${group}" ${where}`;
}
