/**
 * AdmissionReview v1 in, AdmissionReview v1 out. Pure, and without any request to anyone: what the review
 * carries is all there is. The patch is the difference between the pod as it came and as it should be, so a pod
 * that is already as it should be gets none.
 */
import jsonPatch from 'fast-json-patch';
import { parseAnnotations, type ParsedAnnotations } from '../common/function/annotations/index.ts';
import type { V1Pod } from '../common/kube/client.ts';
import { ownerOfPod } from '../common/kube/model/ownership.ts';
import { completeInjection } from './inject/complete.ts';
import { injectPod, type InjectOptions } from './inject/inject.ts';
import { matchPod } from './inject/match.ts';
import { wrongShape } from './inject/pod-shape.ts';

const API_VERSION = 'admission.k8s.io/v1';

export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patchType?: 'JSONPatch';
  /** Base64 of RFC 6902 JSON. */
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
}

export interface ReviewResult {
  readonly review: {
    readonly apiVersion: string;
    readonly kind: 'AdmissionReview';
    readonly response: AdmissionResponse;
  };
  /** For the log and the metrics: what was decided, of which pod. */
  readonly outcome: string;
  readonly subject: string;
}

/** Not an AdmissionReview v1 of a pod: the caller's fault, said with a 400. */
export class ReviewError extends Error {
  readonly code = 'bad-review';
  readonly status: number;

  constructor(message: string, options: { cause?: unknown; status?: number } = {}) {
    super(message, { cause: options.cause });
    this.name = 'ReviewError';
    this.status = options.status ?? 400;
  }
}

interface ReviewRequest {
  readonly uid: string;
  readonly operation: string;
  readonly namespace: string;
  readonly kind: string;
  readonly pod: V1Pod;
}

/** @throws ReviewError */
export function reviewPod(body: string, options: InjectOptions): ReviewResult {
  const request = readReview(body);
  const { response, outcome } = decide(request, options);
  return {
    review: { apiVersion: API_VERSION, kind: 'AdmissionReview', response },
    outcome,
    subject: `${request.namespace}/${request.pod.metadata?.name ?? request.pod.metadata?.generateName ?? ''}`,
  };
}

type Decided = { readonly response: AdmissionResponse; readonly outcome: string };

function decide(request: ReviewRequest, options: InjectOptions): Decided {
  const { uid, pod, namespace } = request;
  if (request.operation !== 'CREATE' || request.kind !== 'Pod') return skip(uid, 'not-a-new-pod');
  const parsed = parseAnnotations(pod.metadata?.annotations ?? {}, options.annotations);
  const verdict = matchPod(pod, parsed);
  if (verdict.kind === 'skip' && verdict.reason === 'already-injected')
    return complete(request, parsed, options);
  if (verdict.kind === 'skip') return skip(uid, verdict.reason, verdict.warning);
  if (verdict.kind === 'refuse') return deny(uid, verdict.message);
  const owner = ownerOfPod(pod, namespace);
  if (!owner) return deny(uid, 'the pod has no name, no generateName and no owner: what function is it?');
  const injection = injectPod(pod, owner, parsed, options);
  const warnings = [...faultTexts(parsed), ...injection.faults, ...injection.warnings];
  return { response: { ...patched(uid, pod, injection.pod), ...warningsOf(warnings) }, outcome: 'injected' };
}

function complete(
  { uid, pod, namespace }: ReviewRequest,
  parsed: ParsedAnnotations,
  options: InjectOptions,
): Decided {
  const id = ownerOfPod(pod, namespace)?.id;
  const { pod: desired, warnings } = completeInjection(pod, id, parsed, options);
  const response = { ...patched(uid, pod, desired), ...warningsOf(warnings) };
  return { response, outcome: response.patch === undefined ? 'already-injected' : 'completed' };
}

function patched(uid: string, before: V1Pod, after: V1Pod): AdmissionResponse {
  const patch = jsonPatch.compare(before, after);
  if (patch.length === 0) return { uid, allowed: true };
  const text = Buffer.from(JSON.stringify(patch)).toString('base64');
  return { uid, allowed: true, patchType: 'JSONPatch', patch: text };
}

function skip(
  uid: string,
  reason: string,
  warning?: string,
): { response: AdmissionResponse; outcome: string } {
  return {
    response: { uid, allowed: true, ...warningsOf(warning ? [`slimfaas: ${warning}`] : []) },
    outcome: reason,
  };
}

function deny(uid: string, message: string): { response: AdmissionResponse; outcome: string } {
  const status = { code: 422, reason: 'Invalid', message: `slimfaas: ${message}` };
  return { response: { uid, allowed: false, status }, outcome: 'refused' };
}

/** One line per fault: `SlimFaas/ReplicasMin "many": must be a whole number ≥ 0; 0 is in force`. */
export function faultTexts(parsed: Pick<ParsedAnnotations, 'faults'>): string[] {
  return parsed.faults.map(
    ({ annotation, value, problem, inForce }) =>
      `${annotation} ${JSON.stringify(value)}: ${problem}; ${inForce} is in force`,
  );
}

/** API servers cut a warning at 256 characters and all of them at 4,096; better to cut them ourselves. */
function warningsOf(texts: readonly string[]): { warnings?: string[] } {
  if (texts.length === 0) return {};
  const shown = texts.slice(0, 15).map((text) => (text.length > 250 ? `${text.slice(0, 249)}…` : text));
  return { warnings: shown };
}

function readReview(body: string): ReviewRequest {
  const review = asObject(parseJson(body), 'the body');
  if (review['apiVersion'] !== API_VERSION || review['kind'] !== 'AdmissionReview')
    throw new ReviewError(
      `expected kind AdmissionReview of ${API_VERSION}, got ${JSON.stringify(review['kind'])} of ${JSON.stringify(review['apiVersion'])}`,
    );
  const request = asObject(review['request'], 'request');
  const { uid, operation, namespace } = request;
  if (typeof uid !== 'string' || uid === '') throw new ReviewError('request.uid is missing');
  const kind = asObject(request['kind'], 'request.kind')['kind'];
  // DELETE reviews have no object; they are let through without a look at it.
  const object = operation === 'CREATE' ? asObject(request['object'], 'request.object') : {};
  const problem = kind === 'Pod' ? wrongShape(object) : undefined;
  if (problem !== undefined) throw new ReviewError(`request.object is no pod: ${problem}`);
  return {
    uid,
    operation: String(operation),
    namespace: typeof namespace === 'string' ? namespace : 'default',
    kind: String(kind),
    pod: object as V1Pod,
  };
}

/** A field that is null counts as absent, as in Kubernetes. An item of a list that is null stays, and is refused. */
function parseJson(body: string): unknown {
  try {
    return JSON.parse(body, function (this: unknown, _key, value: unknown) {
      return value === null && !Array.isArray(this) ? undefined : value;
    });
  } catch (cause) {
    throw new ReviewError('the body is not JSON', { cause });
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ReviewError(`${what} is not an object`);
  return value as Record<string, unknown>;
}
