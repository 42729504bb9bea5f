/** What is wrong with a webhook configuration, its CEL match conditions included. */
import type { Causes } from '../objects/causes.ts';
import { CelError, compileCel } from './cel.ts';
import type { JsonObject } from '../http/json.ts';
import type { KubeObject } from '../objects/types.ts';

interface Webhook extends JsonObject {
  readonly name?: string;
  readonly clientConfig?: {
    url?: string;
    service?: { name?: string; namespace?: string };
    caBundle?: string;
  };
  readonly matchConditions?: readonly { name?: string; expression?: string }[];
  readonly admissionReviewVersions?: readonly string[];
}

function checkClientConfig(path: string, { clientConfig }: Webhook, causes: Causes): void {
  const { url, service, caBundle } = clientConfig ?? {};
  if ((url === undefined) === (service === undefined)) {
    causes.required(`${path}.clientConfig`, 'exactly one of url or service is required');
  }
  if (url !== undefined && !url.startsWith('https://')) {
    causes.invalid(`${path}.clientConfig.url`, url, "'https' is the only allowed URL scheme");
  }
  if (service && !service.name) causes.required(`${path}.clientConfig.service.name`);
  if (service && !service.namespace) causes.required(`${path}.clientConfig.service.namespace`);
  if (caBundle && !Buffer.from(caBundle, 'base64').includes('-----BEGIN CERTIFICATE-----')) {
    causes.invalid(`${path}.clientConfig.caBundle`, '<bytes>', 'must be base64 of PEM certificates');
  }
}

function checkConditions(path: string, webhook: Webhook, causes: Causes): void {
  (webhook.matchConditions ?? []).forEach(({ name, expression }, index) => {
    const at = `${path}.matchConditions[${index}]`;
    if (!name) causes.required(`${at}.name`);
    if (!expression) return causes.required(`${at}.expression`);
    try {
      compileCel(expression);
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      causes.invalid(`${at}.expression`, expression, `compilation failed: ${error.message}`);
    }
  });
}

function checkWebhook(path: string, webhook: Webhook, causes: Causes): void {
  const segments = String(webhook.name ?? '').split('.');
  if (segments.length < 3) {
    const why = 'should be a domain with at least three segments separated by dots';
    causes.invalid(`${path}.name`, webhook.name ?? '', why);
  }
  checkClientConfig(path, webhook, causes);
  causes.oneOf(`${path}.failurePolicy`, webhook.failurePolicy, ['Fail', 'Ignore']);
  causes.oneOf(`${path}.reinvocationPolicy`, webhook.reinvocationPolicy, ['IfNeeded', 'Never']);
  if (webhook.sideEffects === undefined)
    causes.required(`${path}.sideEffects`, 'must specify one of None, NoneOnDryRun');
  causes.oneOf(`${path}.sideEffects`, webhook.sideEffects, ['None', 'NoneOnDryRun']);
  causes.range(`${path}.timeoutSeconds`, webhook.timeoutSeconds, [1, 30]);
  if (!webhook.admissionReviewVersions?.includes('v1')) {
    const why = 'must include v1, the only version that this server sends';
    causes.invalid(`${path}.admissionReviewVersions`, webhook.admissionReviewVersions ?? [], why);
  }
  checkConditions(path, webhook, causes);
}

export function checkWebhooks(object: KubeObject, causes: Causes): void {
  const webhooks = (object.webhooks ?? []) as Webhook[];
  webhooks.forEach((webhook, index) => checkWebhook(`webhooks[${index}]`, webhook, causes));
}
