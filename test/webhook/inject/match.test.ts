import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { V1Pod } from '../../../common/kube/client.ts';
import { matchPod, type MatchResult } from '../../../webhook/inject/match.ts';
import { fixture } from '../reviews.ts';

const ON = { 'SlimFaas/Function': 'true' };

function verdict(pod: V1Pod): MatchResult {
  return matchPod(pod, parseAnnotations(pod.metadata?.annotations ?? {}));
}

function podWith(spec: Partial<NonNullable<V1Pod['spec']>>, annotations: Record<string, string> = ON): V1Pod {
  return { metadata: { name: 'p', annotations }, spec: { containers: [{ name: 'app' }], ...spec } };
}

describe('which pods get a sidecar', () => {
  const skips: [string, string, boolean][] = [
    ['not-annotated', 'not-annotated', false],
    ['opted-out', 'inject-false', false],
    ['mirror', 'mirror-pod', true],
    ['host-network', 'host-network', true],
  ];
  for (const [name, reason, warns] of skips)
    it(`${name} is skipped because of ${reason}, ${warns ? 'with a warning' : 'silently'}`, () => {
      const result = verdict(fixture(name).request.object);
      assert.equal(result.kind, 'skip');
      assert.equal(result.kind === 'skip' && result.reason, reason);
      assert.equal(result.kind === 'skip' && result.warning !== undefined, warns);
    });

  for (const name of ['deployment', 'statefulset', 'bare-pod', 'daemonset', 'mesh', 'restricted'])
    it(`${name} is injected`, () => {
      assert.deepEqual(verdict(fixture(name).request.object), { kind: 'inject' });
    });

  for (const value of ['true', 'True', 'TRUE', ' true '])
    it(`SlimFaas/Function ${JSON.stringify(value)} opts in`, () => {
      assert.equal(verdict(podWith({}, { 'SlimFaas/Function': value })).kind, 'inject');
    });

  for (const value of ['false', '', 'yes please'])
    it(`SlimFaas/Function ${JSON.stringify(value)} does not`, () => {
      assert.equal(verdict(podWith({}, { 'SlimFaas/Function': value })).kind, 'skip');
    });

  it('a pod for Windows is skipped with a warning', () => {
    const result = verdict(podWith({ os: { name: 'windows' } }));
    assert.equal(result.kind === 'skip' && result.reason, 'windows');
    const chosen = verdict(podWith({ nodeSelector: { 'kubernetes.io/os': 'windows' } }));
    assert.equal(chosen.kind === 'skip' && chosen.reason, 'windows', 'also by its node selector');
  });

  it('a pod that has the sidecar is left alone, whoever put it there', () => {
    const asInit = verdict(podWith({ initContainers: [{ name: 'slimfaas-sidecar' }] }));
    const asContainer = verdict(podWith({ containers: [{ name: 'slimfaas-sidecar' }] }));
    for (const result of [asInit, asContainer])
      assert.equal(result.kind === 'skip' && result.reason, 'already-injected');
  });

  it('the status annotation alone, copied from a live pod, does not cost the pod its sidecar', () => {
    const copied = { ...ON, 'slimfaas.dev/status': '{"version":"0.1.0","hash":"abc"}' };
    assert.equal(verdict(podWith({}, copied)).kind, 'inject');
  });
});

describe('port conflicts', () => {
  it('refuses a pod that declares a port of the sidecar, naming port and container', () => {
    const result = verdict(fixture('port-conflict').request.object);
    assert.ok(result.kind === 'refuse');
    assert.match(result.message, /container "envoy" declares port 15081/);
    assert.match(result.message, /slimfaas\.dev\/inject/);
  });

  it('looks at init containers too', () => {
    const result = verdict(
      podWith({ initContainers: [{ name: 'early', ports: [{ containerPort: 15080 }] }] }),
    );
    assert.ok(result.kind === 'refuse');
    assert.match(result.message, /container "early" declares port 15080/);
  });

  it('refuses slimfaas.dev/port that names a port of the sidecar', () => {
    const result = verdict(podWith({}, { ...ON, 'slimfaas.dev/port': '15080' }));
    assert.ok(result.kind === 'refuse');
    assert.match(result.message, /slimfaas\.dev\/port names port 15080/);
  });

  it('lets the same number pass on UDP, where nothing of ours listens', () => {
    const ports = [{ containerPort: 15080, protocol: 'UDP' }];
    assert.equal(verdict(podWith({ containers: [{ name: 'app', ports }] })).kind, 'inject');
  });

  it('does not refuse what it would not inject', () => {
    const ports = [{ containerPort: 15080 }];
    const optedOut = { ...ON, 'slimfaas.dev/inject': 'false' };
    assert.equal(verdict(podWith({ containers: [{ name: 'app', ports }] }, optedOut)).kind, 'skip');
  });
});
