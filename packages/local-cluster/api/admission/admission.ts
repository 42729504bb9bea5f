/**
 * Admission webhooks: which are asked about a request, in what order, and what becomes of their answers. The mutating
 * ones run one after the other in order of their configuration's name, and each sees what those before it did. Those
 * with reinvocationPolicy IfNeeded run once more if a later one changed something.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { describeError } from '../../../../common/runtime/errors.ts';
import type { Log } from '../../../../common/runtime/log.ts';
import type { User } from '../http/auth.ts';
import { CelError, compileCel } from './cel.ts';
import { ApiError, badRequest, internal } from '../objects/api-errors.ts';
import { apiVersionOf } from '../objects/kinds.ts';
import type { Kind } from '../objects/kinds.ts';
import { applyJsonPatch } from '../verbs/patches.ts';
import { compileLabelSelector } from '../objects/selectors.ts';
import type { LabelSelector } from '../objects/selectors.ts';
import type { Store } from '../objects/store.ts';
import type { KubeObject } from '../objects/types.ts';
import type { WebhookCaller, WebhookClientConfig } from './webhook-call.ts';

export interface AdmissionRequest {
  readonly kind: Kind;
  readonly subresource?: string | undefined;
  readonly operation: 'CREATE' | 'UPDATE';
  readonly object: KubeObject;
  readonly oldObject?: KubeObject | undefined;
  readonly user: User;
  readonly isDryRun: boolean;
  /** Takes what kubectl prints as `Warning: …`. */
  readonly warn: (text: string) => void;
}

interface WebhookRule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources?: readonly string[];
  readonly scope?: string;
}

interface Webhook {
  readonly name: string;
  readonly clientConfig: WebhookClientConfig;
  readonly rules?: readonly WebhookRule[];
  readonly namespaceSelector: LabelSelector;
  readonly objectSelector: LabelSelector;
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly timeoutSeconds: number;
  readonly reinvocationPolicy?: 'Never' | 'IfNeeded';
  readonly sideEffects: 'None' | 'NoneOnDryRun' | 'Some' | 'Unknown';
}

interface ReviewAnswer {
  readonly uid?: string;
  readonly allowed?: boolean;
  readonly status?: { readonly code?: number; readonly message?: string; readonly reason?: string };
  readonly patch?: string;
  readonly patchType?: string;
  readonly warnings?: readonly string[];
}

const WEBHOOK_GROUP = 'admissionregistration.k8s.io';

function includes(list: readonly string[] | undefined, wanted: string): boolean {
  return list !== undefined && (list.includes('*') || list.includes(wanted));
}

/** A rule for a resource does not cover its subresources; a star for both parts covers everything. */
function ruleCovers(rule: WebhookRule, { kind, subresource, operation }: AdmissionRequest): boolean {
  const { resource, isNamespaced } = kind;
  const names =
    subresource === undefined
      ? ['*', '*/*', resource]
      : ['*/*', `${resource}/*`, `*/${subresource}`, `${resource}/${subresource}`];
  return (
    includes(rule.operations, operation) &&
    includes(rule.apiGroups, kind.group) &&
    includes(rule.apiVersions, kind.version) &&
    (rule.resources ?? []).some((name) => names.includes(name)) &&
    (rule.scope === undefined || rule.scope === '*' || (rule.scope === 'Namespaced') === isNamespaced)
  );
}

/** The AdmissionReview's request, and what match conditions see as `request`. */
function reviewRequest(request: AdmissionRequest): Record<string, unknown> {
  const { kind, object, oldObject, user, subresource } = request;
  const { group, version, resource } = kind;
  const gvk = { group, version, kind: object.kind };
  const { name, namespace } = object.metadata;
  return {
    uid: randomUUID(),
    kind: gvk,
    resource: { group, version, resource },
    requestKind: gvk,
    requestResource: { group, version, resource },
    ...(subresource === undefined ? {} : { subResource: subresource, requestSubResource: subresource }),
    ...(name ? { name } : {}),
    ...(namespace ? { namespace } : {}),
    operation: request.operation,
    userInfo: { username: user.username, groups: user.groups },
    object,
    oldObject: oldObject ?? null,
    dryRun: request.isDryRun,
    options: {
      apiVersion: 'meta.k8s.io/v1',
      kind: request.operation === 'CREATE' ? 'CreateOptions' : 'UpdateOptions',
    },
  };
}

export class AdmissionChain {
  readonly #store: Store;
  readonly #caller: WebhookCaller;
  readonly #log: Log;

  constructor(parts: { store: Store; caller: WebhookCaller; log: Log }) {
    this.#store = parts.store;
    this.#caller = parts.caller;
    this.#log = parts.log;
  }

  /** The object as the mutating webhooks leave it. */
  async mutate(request: AdmissionRequest): Promise<KubeObject> {
    let object = request.object;
    let changes = 0;
    // What had changed when each was asked tells whether it missed something.
    const asked: { webhook: Webhook; changesThen: number }[] = [];
    const ask = async (webhook: Webhook) => {
      const next = await this.#ask(webhook, { ...request, object });
      if (next === undefined) return false;
      if (!isDeepStrictEqual(next, object)) changes += 1;
      object = next;
      return true;
    };
    for (const webhook of this.#webhooks('mutatingwebhookconfigurations', request)) {
      if (await ask(webhook)) asked.push({ webhook, changesThen: changes });
    }
    for (const { webhook, changesThen } of asked) {
      if (webhook.reinvocationPolicy === 'IfNeeded' && changes > changesThen) await ask(webhook);
    }
    return object;
  }

  /** Throws when a validating webhook denies; what it would patch is not looked at. */
  async validate(request: AdmissionRequest): Promise<void> {
    for (const webhook of this.#webhooks('validatingwebhookconfigurations', request)) {
      await this.#ask(webhook, request);
    }
  }

  /** Those whose rules cover the request; never for webhook configurations, which could lock everyone out. */
  #webhooks(resource: string, request: AdmissionRequest): Webhook[] {
    if (request.kind.group === WEBHOOK_GROUP) return [];
    const all = this.#store.list(resource).flatMap((configuration) => configuration.webhooks as Webhook[]);
    return all.filter((webhook) => (webhook?.rules ?? []).some((rule) => ruleCovers(rule, request)));
  }

  /** Undefined when the webhook does not apply, or failed and may be ignored. */
  async #ask(webhook: Webhook, request: AdmissionRequest): Promise<KubeObject | undefined> {
    if (!this.#selects(webhook, request)) return undefined;
    const review = reviewRequest(request);
    try {
      if (!meetsConditions(webhook, request, review)) return undefined;
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      return this.#failed(webhook, error);
    }
    if (request.isDryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun') {
      throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
    }
    let answer: ReviewAnswer;
    try {
      answer = await this.#call(webhook, review);
    } catch (error) {
      return this.#failed(webhook, error);
    }
    return conclude(webhook, request, answer);
  }

  #selects(webhook: Webhook, { kind, object }: AdmissionRequest): boolean {
    const namespace = kind.isNamespaced
      ? this.#store.get('namespaces', undefined, object.metadata.namespace ?? '')
      : object;
    // Objects of the cluster are in no namespace and are not held to the selector, but namespaces are.
    const hasNamespace = kind.isNamespaced || kind.resource === 'namespaces';
    const namespaceLabels = namespace?.metadata.labels ?? {};
    if (hasNamespace && !compileLabelSelector(webhook.namespaceSelector)(namespaceLabels)) return false;
    return compileLabelSelector(webhook.objectSelector)(object.metadata.labels ?? {});
  }

  async #call(webhook: Webhook, request: Record<string, unknown>): Promise<ReviewAnswer> {
    const { clientConfig, timeoutSeconds } = webhook;
    const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
    const answer = (await this.#caller.call({ clientConfig, timeoutSeconds, review })) as {
      apiVersion?: string;
      kind?: string;
      response?: ReviewAnswer;
    } | null;
    if (answer?.kind !== 'AdmissionReview' || answer.apiVersion !== 'admission.k8s.io/v1') {
      throw new Error('expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview');
    }
    if (answer.response?.uid !== request.uid) throw new Error("the response's uid is not the request's");
    return answer.response!;
  }

  /** The webhook's owner decided what its failure means; the default is to let nothing through. */
  #failed(webhook: Webhook, error: unknown): undefined {
    const why = `failed calling webhook "${webhook.name}": ${(error as Error).message}`;
    if (webhook.failurePolicy === 'Fail') throw internal(why);
    this.#log.warn({ webhook: webhook.name, error: describeError(error) }, 'webhook failed and is ignored');
    return undefined;
  }
}

/** As in Kubernetes: one false condition decides, even where another fails. */
function meetsConditions(webhook: Webhook, request: AdmissionRequest, review: unknown): boolean {
  const scope = { object: request.object, oldObject: request.oldObject ?? null, request: review };
  let failure: unknown;
  for (const { expression } of webhook.matchConditions ?? []) {
    try {
      if (!compileCel(expression)(scope)) return false;
    } catch (error) {
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
  return true;
}

/** Warnings are passed on even with a denial: they may explain it. */
function conclude(
  webhook: Webhook,
  { object, kind, warn }: AdmissionRequest,
  answer: ReviewAnswer,
): KubeObject {
  answer.warnings?.forEach(warn);
  if (answer.allowed !== true) {
    const { code, message, reason } = answer.status ?? {};
    const why = message || reason || 'without explanation';
    const verb = message || reason ? 'denied the request:' : 'denied the request';
    const isError = code !== undefined && code >= 400 && code < 600;
    const text = `admission webhook "${webhook.name}" ${verb} ${why}`;
    throw new ApiError(isError ? code : 403, reason || (isError ? '' : 'Forbidden'), text);
  }
  if (!answer.patch) return object;
  if (answer.patchType !== 'JSONPatch') throw internal(`webhook "${webhook.name}": unknown patchType`);
  const operations: unknown = JSON.parse(Buffer.from(answer.patch, 'base64').toString());
  // Identity is not the webhook's to change.
  const patched = applyJsonPatch(object, operations) as KubeObject;
  return { ...patched, apiVersion: apiVersionOf(kind), kind: object.kind };
}
