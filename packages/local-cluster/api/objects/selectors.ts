/**
 * Label selectors (text of a URL, or the object in a manifest) and field selectors, compiled once into a
 * predicate. A field that a kind cannot be selected by is refused, as Kubernetes does.
 */
import { badRequest } from './api-errors.ts';
import type { KubeObject } from './types.ts';

export type ObjectLabels = Readonly<Record<string, string>>;
export type LabelMatcher = (labels: ObjectLabels) => boolean;
export type ObjectMatcher = (object: KubeObject) => boolean;

export interface LabelSelector {
  readonly matchLabels?: ObjectLabels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

const KEY = String.raw`[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?`;
const SET = new RegExp(String.raw`^(${KEY})\s+(in|notin)\s*\(([^()]*)\)$`);
const COMPARISON = new RegExp(String.raw`^(${KEY})\s*(==|=|!=)\s*([-A-Za-z0-9_.]*)$`);
const EXISTENCE = new RegExp(String.raw`^(!?)\s*(${KEY})$`);

/** Commas inside parentheses belong to a set. */
function splitTerms(text: string): string[] {
  return text
    .split(/,(?![^()]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

function matchSet(key: string, isIn: boolean, values: readonly string[]): LabelMatcher {
  const wanted = new Set(values);
  // `notin` and `!=` hold for objects without the label too.
  return (labels) => (labels[key] !== undefined && wanted.has(labels[key])) === isIn;
}

/** `key in (…)`, `key=value`, `key` or `!key`. */
function parseLabelTerm(term: string): LabelMatcher {
  const set = SET.exec(term);
  if (set !== null) {
    const values = set[3]!.split(',').map((value) => value.trim());
    return matchSet(set[1]!, set[2] === 'in', values);
  }
  const comparison = COMPARISON.exec(term);
  if (comparison !== null) return matchSet(comparison[1]!, comparison[2] !== '!=', [comparison[3]!]);
  const existence = EXISTENCE.exec(term);
  if (existence === null) throw badRequest(`unable to parse requirement: ${JSON.stringify(term)}`);
  const isWanted = existence[1] === '';
  return (labels) => Object.hasOwn(labels, existence[2]!) === isWanted;
}

export function parseLabelSelector(text: string): LabelMatcher {
  const terms = splitTerms(text).map(parseLabelTerm);
  return (labels) => terms.every((term) => term(labels));
}

function matchExpression(key: string, operator: string, values: readonly string[]): LabelMatcher {
  switch (operator) {
    case 'In':
      return matchSet(key, true, values);
    case 'NotIn':
      return matchSet(key, false, values);
    case 'Exists':
      return (labels) => Object.hasOwn(labels, key);
    case 'DoesNotExist':
      return (labels) => !Object.hasOwn(labels, key);
    default:
      throw badRequest(
        `${JSON.stringify(operator)} is not a label selector operator; allowed: In, NotIn, Exists, DoesNotExist`,
      );
  }
}

/** An empty selector matches everything; an absent one is the caller's to decide. */
export function compileLabelSelector(selector: LabelSelector): LabelMatcher {
  const equal = Object.entries(selector.matchLabels ?? {});
  const rest = (selector.matchExpressions ?? []).map((expression) =>
    matchExpression(expression.key, expression.operator, expression.values ?? []),
  );
  return (labels) =>
    equal.every(([key, value]) => labels[key] === value) && rest.every((match) => match(labels));
}

/** `a=b,c in (d,e)`: how a scale's status shows the selector of its workload. */
export function printLabelSelector(selector: LabelSelector): string {
  const equal = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const rest = (selector.matchExpressions ?? []).map(({ key, operator, values }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator.toLowerCase()} (${(values ?? []).join(',')})`;
  });
  return [...equal, ...rest].join(',');
}

/** What can be selected by, besides metadata.name and metadata.namespace. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  events: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  namespaces: ['status.phase'],
  nodes: ['spec.unschedulable'],
  secrets: ['type'],
  replicasets: ['status.replicas'],
  services: ['spec.clusterIP', 'spec.type'],
};

/** Absent fields count as empty texts, which is how pods on no node are found: `spec.nodeName=`. */
function fieldOf(object: KubeObject, path: string): string {
  if (path === 'source') return object.source?.component ?? object.reportingComponent ?? '';
  let value: unknown = object;
  for (const part of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[part];
  return value == null ? (path === 'spec.unschedulable' ? 'false' : '') : String(value);
}

export function parseFieldSelector(resource: string, text: string): ObjectMatcher {
  const terms = splitTerms(text).map((term) => {
    const parts = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(term);
    if (parts === null) throw badRequest(`invalid selector: ${JSON.stringify(term)}; can't understand it`);
    const [, path = '', operator, value] = parts;
    const allowed = ['metadata.name', 'metadata.namespace', ...(FIELDS[resource] ?? [])];
    if (!allowed.includes(path)) throw badRequest(`field label not supported: ${path}`);
    return (object: KubeObject) => (fieldOf(object, path) === value) === (operator !== '!=');
  });
  return (object) => terms.every((term) => term(object));
}

/** The two selectors of a list or watch as one predicate; undefined when there is nothing to test. */
export function objectMatcher(
  resource: string,
  labelSelector: string | undefined,
  fieldSelector: string | undefined,
): ObjectMatcher | undefined {
  const labels = labelSelector ? parseLabelSelector(labelSelector) : undefined;
  const fields = fieldSelector ? parseFieldSelector(resource, fieldSelector) : undefined;
  if (labels === undefined && fields === undefined) return undefined;
  return (object) =>
    (labels === undefined || labels(object.metadata.labels ?? {})) &&
    (fields === undefined || fields(object));
}
