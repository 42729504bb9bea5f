import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { V1Container, V1Pod } from '../../common/kube/client.ts';
import { allContainers, userContainers } from '../../common/kube/model/containers.ts';
import { randomToken } from '../../webhook/inject/inject.ts';
import { ReviewError, reviewPod } from '../../webhook/review.ts';
import { brokenRestrictedRules, brokenRules } from './pod-rules.ts';
import { DRAIN_TOKEN, fixture, FIXTURES, OPTIONS, review, sidecarEnv, sidecarOf } from './reviews.ts';

describe('behaviour 39: admission called twice, the second patch is empty', () => {
  for (const name of FIXTURES)
    it(name, () => {
      const given = fixture(name);
      const first = review(given);
      const second = review({ ...given, request: { ...given.request, object: first.after } });
      assert.equal(second.response.allowed, first.response.allowed);
      assert.deepEqual(second.patch, []);
      assert.equal(second.response.patch, undefined);
      assert.equal(second.response.patchType, undefined);
      assert.deepEqual(second.after, first.after);
    });

  it('also after another webhook added a container in between', () => {
    const given = fixture('deployment');
    const { after } = review(given);
    after.spec?.containers.push({ name: 'late-proxy', image: 'example/late:1' });
    after.spec?.initContainers?.unshift({ name: 'late-init', image: 'example/late:1' });
    const again = review({ ...given, request: { ...given.request, object: after } });
    assert.equal(again.response.allowed, true);
    const late = again.after.spec?.containers.at(-1);
    assert.equal(late?.lifecycle?.preStop?.httpGet?.path, `/drain?container=late-proxy&token=${DRAIN_TOKEN}`);
    const third = review({ ...given, request: { ...given.request, object: again.after } });
    assert.deepEqual(third.patch, [], 'and once');
    delete late?.lifecycle;
    assert.deepEqual(again.after, after, 'nothing else has changed');
  });

  it('also where a probe holds what the kubelet would expand', () => {
    const given = fixture('deployment');
    const [app] = given.request.object.spec?.containers ?? [];
    if (app) app.readinessProbe = { httpGet: { path: '/$(HOME)', port: 8080 } };
    const { after } = review(given);
    assert.deepEqual(review({ ...given, request: { ...given.request, object: after } }).patch, []);
  });

  it('a container of a later webhook is waited for too; after a hook that ends behind the sidecar’s back, Kubernetes is', () => {
    const given = fixture('deployment');
    const add = (container: V1Container): string | undefined => {
      const { after } = review(given);
      after.spec?.containers.push(container);
      const again = review({ ...given, request: { ...given.request, object: after } });
      return sidecarEnv(again.after)['SLIMFAAS_PROBES'];
    };
    const probe = { httpGet: { path: '/up', port: 9 } };
    assert.match(add({ name: 'late', readinessProbe: probe }) ?? '', /"path":"\/up"/);
    assert.equal(add({ name: 'late', lifecycle: { postStart: { exec: { command: ['x'] } } } }), 'kubernetes');
  });

  it('a CPU limit that a LimitRange has put on the sidecar is told, one of ours is not', () => {
    const again = (limit: Record<string, string>, options = OPTIONS) => {
      const given = fixture('deployment');
      const { after } = review(given, options);
      Object.assign(sidecarOf(after)?.resources?.limits ?? {}, limit);
      return (
        review({ ...given, request: { ...given.request, object: after } }, options).response.warnings ?? []
      );
    };
    assert.match(again({ cpu: '100m' }).join(), /LimitRange .* CPU limit of 100m, which slows/);
    assert.deepEqual(again({}), []);
    assert.deepEqual(again({}, { ...OPTIONS, resources: { limits: { cpu: '1' } } }), []);
  });
});

describe("behaviour 40: valid pods, the user's parts untouched", () => {
  for (const name of FIXTURES)
    it(`${name}: the pod stays valid`, () => {
      assert.deepEqual(brokenRules(review(fixture(name)).after), []);
    });

  for (const name of FIXTURES)
    it(`${name}: probes, ports, environment, volumes and own preStop are as they were`, () => {
      const { before, after } = review(fixture(name));
      const withoutOurs = structuredClone(after);
      const { spec, metadata } = withoutOurs;
      if (spec) spec.containers = userContainers(spec);
      for (const [index, container] of (spec?.containers ?? []).entries())
        removeOurPreStop(container, before.spec?.containers[index]);
      delete metadata?.annotations?.['slimfaas.dev/status'];
      delete metadata?.labels?.['slimfaas.dev/function'];
      if (!before.metadata?.labels) delete metadata?.labels;
      // Kubernetes' own token stays out of the sidecar by a volume of ours.
      const volumes = spec?.volumes?.filter(({ name: volume }) => volume !== 'slimfaas-no-token');
      if (spec && before.spec?.volumes) spec.volumes = volumes;
      else delete spec?.volumes;
      assert.deepEqual(withoutOurs, before);
    });

  it('gives a preStop to each user container that has none, beside an own postStart', () => {
    const { after } = review(fixture('mesh'));
    const [proxy, app] = after.spec?.containers ?? [];
    assert.deepEqual(proxy?.lifecycle?.postStart?.exec?.command, ['pilot-agent', 'wait']);
    for (const container of [proxy, app])
      assert.deepEqual(container?.lifecycle?.preStop, {
        httpGet: {
          path: `/drain?container=${container?.name}&token=${DRAIN_TOKEN}`,
          port: 15081,
          scheme: 'HTTP',
        },
      });
  });

  it('keeps a preStop of the user, and gives the other container its own', () => {
    const [app, helper] = review(fixture('own-prestop')).after.spec?.containers ?? [];
    assert.deepEqual(app?.lifecycle, { preStop: { exec: { command: ['sh', '-c', 'sleep 5'] } } });
    assert.equal(helper?.lifecycle?.preStop?.httpGet?.path, `/drain?container=helper&token=${DRAIN_TOKEN}`);
  });

  it('gives init containers and native sidecars no preStop', () => {
    const others = review(fixture('mesh')).after.spec?.initContainers ?? [];
    assert.deepEqual(
      others.map(({ lifecycle }) => lifecycle),
      [undefined, undefined, undefined],
    );
  });

  it('is admitted where Pod Security restricted is enforced', () => {
    const { after } = review(fixture('restricted'));
    const containers = allContainers(after.spec);
    assert.equal(containers.length, 2);
    for (const container of containers) assert.deepEqual(brokenRestrictedRules(container), []);
  });

  it('marks the pod with label and status', () => {
    const { metadata } = review(fixture('statefulset')).after;
    assert.equal(metadata?.labels?.['slimfaas.dev/function'], 'mysql');
    const status = JSON.parse(metadata?.annotations?.['slimfaas.dev/status'] ?? '{}') as Record<
      string,
      string
    >;
    assert.equal(status['version'], OPTIONS.version);
    assert.match(status['hash'] ?? '', /^[0-9a-f]{12}$/);
  });

  it('gives each pod a drain token of its own, to sidecar and hooks alike, and keeps it out of the hash', () => {
    const of = (createDrainToken: () => string) =>
      review(fixture('deployment'), { ...OPTIONS, createDrainToken }).after;
    const [one, two] = [of(randomToken), of(randomToken)];
    const tokens = [one, two].map((pod) => {
      const token = sidecarEnv(pod)['SLIMFAAS_DRAIN_TOKEN'] ?? '';
      assert.match(token, /^[0-9a-f]{32}$/);
      for (const { lifecycle } of pod.spec?.containers ?? [])
        assert.ok(lifecycle?.preStop?.httpGet?.path?.endsWith(`token=${token}`));
      return token;
    });
    assert.notEqual(tokens[0], tokens[1]);
    const status = (pod: V1Pod) => pod.metadata?.annotations?.['slimfaas.dev/status'];
    assert.equal(status(one), status(two));
  });

  it('marks two different injections with two hashes, and the same with one', () => {
    assert.equal(statusWith('nats://a'), statusWith('nats://a'));
    assert.notEqual(statusWith('nats://a'), statusWith('nats://b'));
  });
});

function statusWith(nats: string): string | undefined {
  const { after } = review(fixture('deployment'), { ...OPTIONS, nats });
  return after.metadata?.annotations?.['slimfaas.dev/status'];
}

function removeOurPreStop(container: V1Container, before: V1Container | undefined): void {
  if (before?.lifecycle?.preStop) return;
  delete container.lifecycle?.preStop;
  if (!before?.lifecycle) delete container.lifecycle;
}

describe('the answer', () => {
  it('repeats the uid and the version of the review', () => {
    const given = fixture('deployment');
    const { review: answer } = reviewPod(JSON.stringify(given), OPTIONS);
    assert.equal(answer.apiVersion, 'admission.k8s.io/v1');
    assert.equal(answer.kind, 'AdmissionReview');
    assert.equal(answer.response.uid, given.request.uid);
    assert.equal(answer.response.patchType, 'JSONPatch');
  });

  it('refuses a port conflict with a status that kubectl shows', () => {
    const { response } = review(fixture('port-conflict'));
    assert.equal(response.allowed, false);
    assert.equal(response.status?.code, 422);
    assert.match(response.status?.message ?? '', /slimfaas: container "envoy" declares port 15081/);
    assert.equal(response.patch, undefined);
  });

  it('behaviour 37: bad annotations are warnings; the pod is injected with the defaults', () => {
    const { response, after } = review(fixture('bad-annotations'));
    assert.equal(response.allowed, true);
    assert.ok(sidecarOf(after));
    const text = response.warnings?.join('\n') ?? '';
    assert.match(text, /SlimFaas\/ReplicasMin "many": .* 0 is in force/);
    assert.match(text, /SlimFaas\/NumberParallelRequestPerPod "0"/);
    assert.match(text, /SlimFaas\/Configuration/);
    assert.match(text, /SlimFaas\/replicasatstart.*did you mean SlimFaas\/ReplicasAtStart/);
    assert.match(text, /names port "htpp"/);
  });

  it('keeps warnings within what an API server passes on', () => {
    const given = fixture('deployment');
    const annotations = given.request.object.metadata?.annotations ?? {};
    for (let i = 0; i < 40; i++) annotations[`SlimFaas/Unknown${i}`] = 'x'.repeat(300);
    const warnings = review(given).response.warnings ?? [];
    assert.ok(warnings.length > 0);
    assert.ok(warnings.every((warning) => warning.length <= 256));
    assert.ok(warnings.join('').length <= 4_096);
  });

  it('lets through what is not the creation of a pod', () => {
    for (const change of [
      { operation: 'UPDATE' },
      { operation: 'DELETE', object: null },
      { kind: { kind: 'Node' } },
    ]) {
      const given = fixture('deployment');
      const text = JSON.stringify({ ...given, request: { ...given.request, ...change } });
      const { response } = reviewPod(text, OPTIONS).review;
      assert.deepEqual(response, { uid: given.request.uid, allowed: true });
    }
  });

  for (const containers of [undefined, null])
    it(`leaves it to the API server to refuse a pod with containers: ${containers}`, () => {
      const given = fixture('deployment');
      const object = given.request.object as unknown as { spec: Record<string, unknown> };
      object.spec['containers'] = containers;
      assert.equal(reviewPod(JSON.stringify(given), OPTIONS).review.response.allowed, true);
    });

  it('takes the namespace from the review where the pod does not say', () => {
    const given = fixture('deployment');
    delete given.request.object.metadata?.namespace;
    const { subject } = reviewPod(JSON.stringify(given), OPTIONS);
    assert.equal(subject, 'shop/web-7d4b9c6f5d-');
  });
});

describe('a pod that is none', () => {
  // oxlint-disable-next-line typescript/no-explicit-any -- nonsense of every type
  type Damage = (pod: any) => void;
  const cases: [string, Damage, RegExp][] = [
    [
      'annotations that are a list',
      (pod) => (pod.metadata.annotations = [1]),
      /metadata\.annotations is not an object/,
    ],
    [
      'an annotation that is a number',
      (pod) => (pod.metadata.annotations['SlimFaas/Function'] = 1),
      /SlimFaas\/Function is not a text/,
    ],
    ['a spec that is a text', (pod) => (pod.spec = 'x'), /spec is not an object/],
    ['containers that are an object', (pod) => (pod.spec.containers = {}), /spec\.containers is not a list/],
    [
      'a container that is a text',
      (pod) => (pod.spec.containers = ['app']),
      /spec\.containers\[0\] is not an object/,
    ],
    [
      'a container that is null',
      (pod) => (pod.spec.containers = [null]),
      /spec\.containers\[0\] is not an object/,
    ],
    [
      'ports that are a number',
      (pod) => (pod.spec.containers[0].ports = 7),
      /containers\[0\]\.ports is not a list/,
    ],
    [
      'a probe that is a list',
      (pod) => (pod.spec.containers[0].readinessProbe = []),
      /readinessProbe is not an object/,
    ],
    [
      'a probed port that is an object',
      (pod) => (pod.spec.containers[0].readinessProbe = { httpGet: { port: {} } }),
      /port is not a number or text/,
    ],
    [
      'a grace period that is a text',
      (pod) => (pod.spec.terminationGracePeriodSeconds = 'long'),
      /terminationGracePeriodSeconds is not a number/,
    ],
    [
      'an owner without a name',
      (pod) => (pod.metadata.ownerReferences[0].name = null),
      /ownerReferences\[0\]\.name is not a text/,
    ],
    [
      'owners that are a text',
      (pod) => (pod.metadata.ownerReferences = 'web'),
      /ownerReferences is not a list/,
    ],
  ];
  for (const [name, damage, message] of cases)
    it(`${name}: answered with 400 that says where`, () => {
      const given = fixture('deployment');
      damage(given.request.object);
      assert.throws(
        () => reviewPod(JSON.stringify(given), OPTIONS),
        (error) => error instanceof ReviewError && error.status === 400 && message.test(error.message),
      );
    });

  it('whatever stands in a pod, it is answered or refused as a review', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FIXTURES), fc.nat(), fc.jsonValue(), (name, at, junk) => {
        const given = fixture(name);
        const places: (() => void)[] = [];
        const walk = (value: unknown): void => {
          if (typeof value !== 'object' || value === null) return;
          for (const key of Object.keys(value)) {
            places.push(() => void ((value as Record<string, unknown>)[key] = junk));
            walk((value as Record<string, unknown>)[key]);
          }
        };
        walk(given.request.object);
        places[at % places.length]?.();
        try {
          reviewPod(JSON.stringify(given), OPTIONS);
        } catch (error) {
          assert.ok(error instanceof ReviewError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('malformed reviews', () => {
  const cases: [string, string, RegExp][] = [
    ['no JSON', '{"kind":', /not JSON/],
    ['an array', '[]', /the body is not an object/],
    ['null', 'null', /the body is not an object/],
    [
      'another kind',
      '{"kind":"Pod","apiVersion":"v1"}',
      /expected kind AdmissionReview .* got "Pod" of "v1"/,
    ],
    ['v1beta1', '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}', /v1beta1/],
    [
      'no request',
      '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}',
      /request is not an object/,
    ],
  ];
  for (const [name, body, message] of cases)
    it(`${name}: says what is wrong`, () => {
      assert.throws(
        () => reviewPod(body, OPTIONS),
        (error) => error instanceof ReviewError && error.status === 400 && message.test(error.message),
      );
    });

  const holes: [string, (request: Record<string, unknown>) => void, RegExp][] = [
    ['without uid', (request) => delete request['uid'], /request\.uid/],
    ['without kind', (request) => delete request['kind'], /request\.kind/],
    ['without object', (request) => (request['object'] = null), /request\.object/],
    ['with a text for an object', (request) => (request['object'] = 'pod'), /request\.object/],
  ];
  for (const [name, damage, message] of holes)
    it(`a request ${name}: says what is missing`, () => {
      const given = fixture('deployment');
      damage(given.request);
      assert.throws(() => reviewPod(JSON.stringify(given), OPTIONS), message);
    });
});
