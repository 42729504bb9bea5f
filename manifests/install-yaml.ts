/**
 * install.yaml, from the chart with its default values and the namespace. Helm sorts what it renders by kind; for people
 * who read the file it is put back into the order of the parts, each under its heading. That is all that is changed: every
 * object and comment is the chart's.
 */
import { helmTemplate } from './helm.ts';

/** The chart's templates in the order of the file; Services come before the pods that find them by their variables. */
const SECTIONS: readonly (readonly [template: string, heading: string])[] = [
  ['namespace.yaml', ''],
  ['rbac.yaml', 'who may do what'],
  ['proof-rbac.yaml', ''],
  ['operator-rbac.yaml', ''],
  ['services-policy.yaml', ''],
  ['services.yaml', 'addresses, before any pod'],
  ['nats.yaml', 'NATS with JetStream'],
  ['network-policies.yaml', ''],
  ['webhook-configuration.yaml', 'the webhook'],
  ['webhook.yaml', ''],
  ['scaler.yaml', 'the scaler'],
  ['proxy.yaml', 'the proxy'],
];

const HEAD = `# SlimFaas: everything a cluster gets. kubectl apply -f install.yaml
# Rendered from chart/ by \`npm run manifests\`: change it there.
#
# The order matters where it says so: beside the names of NATS and the scaler, pods have the addresses that Kubernetes
# sets as variables for the Services that exist when a pod starts (SLIMFAAS_NATS_SERVICE_HOST), so Services come
# before pods. Addresses need no DNS, so the very same file runs on a laptop; names find a Service that was made again.
`;

/** @throws Error with what helm says, and for a template that has no place in the file */
export async function renderInstallYaml(): Promise<string> {
  const { stdout, stderr, code } = await helmTemplate({ createNamespace: true }, '--skip-tests');
  if (code !== 0) throw new Error(`helm template: ${stderr}`);
  const documents = stdout
    .split(/^---\n/m)
    .slice(1)
    .map(readDocument);
  const strange = documents.find(({ template }) => !SECTIONS.some(([name]) => name === template));
  if (strange) throw new Error(`templates/${strange.template} has no place in SECTIONS`);
  return HEAD + SECTIONS.flatMap(([name, heading]) => section(name, heading, documents)).join('---\n');
}

interface RenderedDocument {
  readonly template: string;
  readonly text: string;
}

function readDocument(document: string): RenderedDocument {
  const template = /^# Source: slimfaas\/templates\/(.*)\n/.exec(document);
  if (!template) throw new Error(`helm template: a document without its source: ${document.slice(0, 80)}`);
  // What an optional field leaves behind where it is not set is a line of blanks.
  const text = document.slice(template[0].length).replaceAll(/^\s*\n/gm, '');
  return { template: template[1] as string, text };
}

function section(template: string, heading: string, documents: readonly RenderedDocument[]): string[] {
  const texts = documents.filter((document) => document.template === template).map(({ text }) => text);
  const title = heading === '' ? '' : `# ${'-'.repeat(64)} ${heading}\n`;
  return texts.map((text, index) => (index === 0 ? title + text : text));
}
