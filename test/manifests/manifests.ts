/** The manifests of this repository as objects, for the tests of this folder. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { V1PodTemplateSpec } from '../../common/kube/client.ts';
import { helmTemplate } from '../../manifests/helm.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Labels;
    readonly annotations?: Labels;
  };
  // oxlint-disable-next-line typescript/no-explicit-any -- manifests of every kind; each test narrows them
  readonly [field: string]: any;
}

export type Labels = Readonly<Record<string, string>>;

export function readManifests(name: string): Manifest[] {
  return parseManifests(readFileSync(new URL(`../../manifests/${name}`, import.meta.url), 'utf8'));
}

export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

/** What helm makes of the chart with these values. */
export async function renderChart(values: object): Promise<Manifest[]> {
  const { stdout, stderr, code } = await helmTemplate(values);
  assert.equal(code, 0, stderr);
  return parseManifests(stdout);
}

export function ofKind(manifests: readonly Manifest[], ...kinds: string[]): Manifest[] {
  return manifests.filter(({ kind }) => kinds.includes(kind));
}

export function templateOf(workload: Manifest): V1PodTemplateSpec {
  return workload['spec'].template as V1PodTemplateSpec;
}

export function selects(selector: Labels, labels: Labels = {}): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}
