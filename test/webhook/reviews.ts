/** Captured AdmissionReviews (fixtures/), and what a review does to the pod in one: for the tests of this folder. */
import { readFileSync, readdirSync } from 'node:fs';
import jsonPatch from 'fast-json-patch';
import type { V1Container, V1Pod } from '../../common/kube/client.ts';
import { findSidecar } from '../../common/kube/model/containers.ts';
import type { InjectOptions } from '../../webhook/inject/inject.ts';
import { reviewPod, type AdmissionResponse } from '../../webhook/review.ts';

export const DRAIN_TOKEN = 'a-token';

export const OPTIONS: InjectOptions = {
  image: 'example/slimfaas:1',
  nats: 'nats://10.96.0.10:4222',
  user: 65_532,
  version: '0.0.0-test',
  createDrainToken: () => DRAIN_TOKEN,
};

export interface Review {
  apiVersion: string;
  kind: string;
  request: { uid: string; operation: string; namespace: string; object: V1Pod; [field: string]: unknown };
}

const FOLDER = new URL('fixtures/', import.meta.url);

export const FIXTURES: readonly string[] = readdirSync(FOLDER).map((file) => file.replace('.json', ''));

/** A private copy each time. */
export function fixture(name: string): Review {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as Review;
}

export interface Reviewed {
  readonly response: AdmissionResponse;
  readonly before: V1Pod;
  /** The pod with the patch applied, as an API server would store it. */
  readonly after: V1Pod;
  readonly patch: readonly unknown[];
}

export function review(given: Review, options: InjectOptions = OPTIONS): Reviewed {
  const { response } = reviewPod(JSON.stringify(given), options).review;
  const patch =
    response.patch === undefined ? [] : JSON.parse(Buffer.from(response.patch, 'base64').toString());
  const before = structuredClone(given.request.object);
  const after = jsonPatch.applyPatch(structuredClone(before), patch, true).newDocument;
  return { response, before, after, patch };
}

export function sidecarOf(pod: V1Pod): V1Container | undefined {
  return findSidecar(pod.spec);
}

/** Its plain values; what comes from fields is `field:<path>`. */
export function sidecarEnv(pod: V1Pod): Record<string, string | undefined> {
  const entries = (sidecarOf(pod)?.env ?? []).map(({ name, value, valueFrom }) => [
    name,
    valueFrom?.fieldRef ? `field:${valueFrom.fieldRef.fieldPath}` : value,
  ]);
  return Object.fromEntries(entries) as Record<string, string | undefined>;
}
