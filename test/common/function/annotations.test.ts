import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ANNOTATION, parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { CorsSpec } from '../../../common/function/callers.ts';
import type { FunctionSpec } from '../../../common/function/spec.ts';

const parse = (annotations: Record<string, string>) => parseAnnotations(annotations);

/** The one fault that these annotations have. */
function onlyFault(annotations: Record<string, string>) {
  const { faults } = parse(annotations);
  assert.equal(faults.length, 1, JSON.stringify(faults));
  return faults[0] as (typeof faults)[number];
}

test('no annotations: every default of docs/reference/annotations.md, no function, no fault', () => {
  const { isFunction, spec, faults } = parse({});
  assert.equal(isFunction, false);
  assert.deepEqual(faults, []);
  const job = {
    httpTimeoutSeconds: 120,
    timeoutRetriesSeconds: [2, 4, 8],
    httpStatusRetries: [500, 502, 503],
    retriesSetByUser: false,
  };
  const expected: FunctionSpec = {
    replicasMin: 0,
    replicasAtStart: 1,
    wakesWithAny: false,
    idleTimeoutSeconds: 300,
    parallelLimit: undefined,
    parallelPerPod: 10,
    parallelPerPodSetByUser: false,
    hosts: [],
    canary: undefined,
    sticky: undefined,
    fallback: undefined,
    waitingPageSeconds: undefined,
    rewritesPaths: false,
    dependsOn: [],
    subscribeEvents: [],
    defaultVisibility: 'Public',
    pathVisibility: [],
    trusted: true,
    sync: { ...job, httpStatusRetries: [502, 503] },
    async: job,
    publish: job,
    schedule: undefined,
    scale: undefined,
    inject: true,
    port: undefined,
    appProtocol: undefined,
    queueLimit: undefined,
    coldStartTimeoutSeconds: undefined,
    sidecarImage: undefined,
    sidecarResources: undefined,
    paused: false,
    ordered: false,
    retryJitterPercent: undefined,
    jobSharePercent: undefined,
    directCalls: false,
    rateLimit: undefined,
    direct: { isCounted: false, ignored: [], idleSeconds: 3_600 },
    auth: undefined,
    cors: undefined,
    services: 'ignore',
  };
  assert.deepEqual(spec, expected);
});

const NO_SITE: CorsSpec = {
  origins: [],
  methods: [],
  headers: [],
  exposed: [],
  hasCredentials: false,
  maxAgeSeconds: undefined,
};

const VALID: readonly [string, string, Partial<FunctionSpec>][] = [
  [ANNOTATION.directTraffic, 'Count', { direct: { isCounted: true, ignored: [], idleSeconds: 3_600 } }],
  [
    ANNOTATION.services,
    'wake',
    { services: 'wake', direct: { isCounted: true, ignored: [], idleSeconds: 3_600 } },
  ],
  [ANNOTATION.directIdle, '20', { direct: { isCounted: false, ignored: [], idleSeconds: 20 } }],
  [
    ANNOTATION.directIgnore,
    ':9100, 10.1.2.3,10.0.0.0/8, fd00::/8',
    {
      direct: {
        isCounted: false,
        ignored: [':9100', '10.1.2.3', '10.0.0.0/8', 'fd00::/8'],
        idleSeconds: 3_600,
      },
    },
  ],
  [ANNOTATION.replicasMin, '2', { replicasMin: 2, replicasAtStart: 2 }],
  [ANNOTATION.replicasMin, ' 0 ', { replicasMin: 0 }],
  [ANNOTATION.replicasAtStart, '3', { replicasAtStart: 3 }],
  [ANNOTATION.wakesWithAny, 'True', { wakesWithAny: true }],
  [ANNOTATION.idleTimeout, '0', { idleTimeoutSeconds: 0 }],
  [ANNOTATION.idleTimeout, '', { idleTimeoutSeconds: 300 }],
  [ANNOTATION.parallelLimit, '40', { parallelLimit: 40 }],
  [ANNOTATION.parallelPerPod, '1', { parallelPerPod: 1, parallelPerPodSetByUser: true }],
  [ANNOTATION.dependsOn, 'fibonacci1, mysql ,,mysql', { dependsOn: ['fibonacci1', 'mysql'] }],
  [ANNOTATION.dependsOn, '["a","b.c"]', { dependsOn: ['a', 'b.c'] }],
  [ANNOTATION.dependsOn, '[]', { dependsOn: [] }],
  [
    ANNOTATION.subscribeEvents,
    'Public:my-event1,private: my-event2,my-event3',
    {
      subscribeEvents: [
        { visibility: 'Public', event: 'my-event1' },
        { visibility: 'Private', event: 'my-event2' },
        { visibility: 'Public', event: 'my-event3' },
      ],
    },
  ],
  [ANNOTATION.defaultVisibility, 'private', { defaultVisibility: 'Private' }],
  [
    ANNOTATION.pathVisibility,
    'Private:/mypath/subpath,Public:/mypath2,/a:b',
    {
      pathVisibility: [
        { visibility: 'Private', prefix: '/mypath/subpath' },
        { visibility: 'Public', prefix: '/mypath2' },
        { visibility: 'Public', prefix: '/a:b' },
      ],
    },
  ],
  [
    ANNOTATION.pathVisibility,
    'Private:/a//b/./c/, Private:/caf\u00e9, Private:/%61%20b',
    {
      pathVisibility: [
        { visibility: 'Private', prefix: '/a/b/c/' },
        { visibility: 'Private', prefix: '/caf%C3%A9' },
        { visibility: 'Private', prefix: '/a%20b' },
      ],
    },
  ],
  [ANNOTATION.pathVisibilityAlias, '/x', { pathVisibility: [{ visibility: 'Public', prefix: '/x' }] }],
  [ANNOTATION.defaultTrust, 'Untrusted', { trusted: false }],
  [ANNOTATION.defaultTrustAlias, 'untrusted', { trusted: false }],
  [ANNOTATION.inject, 'false', { inject: false }],
  [ANNOTATION.port, '65535', { port: 65_535 }],
  [ANNOTATION.queueLimit, '0', { queueLimit: 0 }],
  [ANNOTATION.coldStartTimeout, '45', { coldStartTimeoutSeconds: 45 }],
  [ANNOTATION.sidecarImage, 'ghcr.io/x/y:1.2@sha256:ab', { sidecarImage: 'ghcr.io/x/y:1.2@sha256:ab' }],
  [
    ANNOTATION.sidecarResources,
    '{"requests":{"cpu":"25m","memory":"48Mi"},"limits":{"memory":134217728}}',
    { sidecarResources: { requests: { cpu: '25m', memory: '48Mi' }, limits: { memory: '134217728' } } },
  ],
  [ANNOTATION.appProtocol, 'grpc', { appProtocol: 'h2c' }],
  [ANNOTATION.appProtocol, 'kubernetes.io/h2c', { appProtocol: 'h2c' }],
  [ANNOTATION.appProtocol, 'https', { appProtocol: 'https' }],
  [ANNOTATION.appProtocol, 'HTTP1', { appProtocol: 'http1' }],
  [ANNOTATION.paused, 'TRUE', { paused: true }],
  [ANNOTATION.ordered, 'true', { ordered: true }],
  [ANNOTATION.retryJitter, '20', { retryJitterPercent: 20 }],
  [ANNOTATION.jobShare, '0', { jobSharePercent: 0 }],
  [ANNOTATION.auth, 'none', { auth: 'none' }],
  [ANNOTATION.auth, '{"ApiKeys":["a","*"]}', { auth: { jwt: undefined, apiKeys: ['a', '*'] } }],
  [
    ANNOTATION.auth,
    '{"Jwt":{"Issuer":"https://i","Audience":"shop","RequiredClaims":{"scope":"x"},"ForwardClaims":["sub"]}}',
    {
      auth: {
        jwt: {
          issuer: 'https://i',
          audience: 'shop',
          requiredClaims: { scope: 'x' },
          forwardClaims: ['sub'],
        },
        apiKeys: [],
      },
    },
  ],
  [ANNOTATION.dependedOnBy, 'team-a, team-b/orders,team-c/*, *', {}],
  [ANNOTATION.cors, 'None', { cors: 'none' }],
  [ANNOTATION.cors, '*, https://a.example', { cors: { ...NO_SITE, origins: ['*'] } }],
  [
    ANNOTATION.cors,
    'https://A.example:443/, http://localhost:3000,https://*.b.example',
    {
      cors: { ...NO_SITE, origins: ['https://a.example', 'http://localhost:3000', 'https://*.b.example'] },
    },
  ],
  [
    ANNOTATION.cors,
    '{"Origins":["https://a.example"],"Methods":["get","PUT"],"Headers":["X-One"],"ExposeHeaders":"X-Two, X-Three","Credentials":true,"MaxAge":600}',
    {
      cors: {
        origins: ['https://a.example'],
        methods: ['GET', 'PUT'],
        headers: ['X-One'],
        exposed: ['X-Two', 'X-Three'],
        hasCredentials: true,
        maxAgeSeconds: 600,
      },
    },
  ],
  [
    ANNOTATION.cors,
    '{"Origins":["*"],"Methods":["*"],"Headers":["*"]}',
    { cors: { ...NO_SITE, origins: ['*'] } },
  ],
  [ANNOTATION.rateLimit, 'None', { rateLimit: { perCaller: 'none', perFunction: 'none' } }],
  [
    ANNOTATION.rateLimit,
    '{"PerCaller":{"Rate":0.5},"perfunction":{"rate":100,"burst":300}}',
    {
      rateLimit: {
        perCaller: { ratePerSecond: 0.5, burst: 1 },
        perFunction: { ratePerSecond: 100, burst: 300 },
      },
    },
  ],
];

for (const [name, value, expected] of VALID) {
  test(`${name}: ${JSON.stringify(value)} is taken without a fault`, () => {
    const { spec, faults } = parse({ [name]: value });
    assert.deepEqual(faults, []);
    for (const [field, wanted] of Object.entries(expected)) {
      assert.deepEqual(spec[field as keyof FunctionSpec], wanted, field);
    }
  });
}

/** annotation, bad value, a word of what is allowed, what is in force. */
const INVALID: readonly [string, string, RegExp, string][] = [
  [ANNOTATION.function, 'yes', /true or false/, 'false'],
  [ANNOTATION.directTraffic, 'no', /count or ignore/, 'ignore'],
  [ANNOTATION.directIdle, '0', /whole number ≥ 1/, '3600'],
  [ANNOTATION.directIgnore, ':70000', /ports \(:9100\), addresses/, 'ignored'],
  [ANNOTATION.directIgnore, '10.0.0.0/33', /ranges/, 'ignored'],
  [ANNOTATION.replicasMin, '-1', /≥ 0/, '0'],
  [ANNOTATION.replicasMin, '1.5', /whole number/, '0'],
  [ANNOTATION.replicasMin, '99999999999', /whole number/, '0'],
  [ANNOTATION.replicasAtStart, '0', /≥ 1/, '1'],
  [ANNOTATION.wakesWithAny, '1', /true or false/, 'false'],
  [ANNOTATION.idleTimeout, '5m', /whole number/, '300'],
  [ANNOTATION.parallelLimit, '0', /≥ 1/, 'none'],
  [ANNOTATION.parallelPerPod, 'many', /≥ 1/, '10'],
  [ANNOTATION.dependsOn, '["a", 1]', /comma list or a JSON array/, 'none'],
  [ANNOTATION.dependsOn, '["a"', /comma list or a JSON array/, 'none'],
  [ANNOTATION.dependsOn, 'My_Sql', /names of workloads/, 'ignored'],
  [ANNOTATION.subscribeEvents, 'a/b', /event names without/, 'ignored'],
  [ANNOTATION.subscribeEvents, 'Privat:x', /Public: or Private:/, 'Private:x'],
  [ANNOTATION.defaultVisibility, 'Hidden', /Public or Private/, 'Public'],
  [ANNOTATION.pathVisibility, 'Secret:/x', /Public: or Private:/, 'Private:/x'],
  [ANNOTATION.pathVisibility, 'x', /starts with "\/"/, '/x'],
  [ANNOTATION.pathVisibility, 'Private:/x?y=1', /without "\?" and "#"/, 'Private:/x'],
  [ANNOTATION.pathVisibility, '/x#y', /without "\?" and "#"/, 'ignored'],
  [ANNOTATION.defaultTrust, 'maybe', /Trusted or Untrusted/, 'Trusted'],
  [ANNOTATION.configuration, '{', /JSON object/, 'the defaults'],
  [ANNOTATION.schedule, '[]', /JSON object/, 'no schedule'],
  [ANNOTATION.scale, '"x"', /JSON object/, 'no scaling by metrics'],
  [ANNOTATION.inject, 'no', /true or false/, 'true'],
  [ANNOTATION.port, '65536', /from 1 to 65535/, 'none'],
  [ANNOTATION.port, 'http', /from 1 to 65535/, 'none'],
  [ANNOTATION.appProtocol, 'http3', /http1, https, h2c or grpc/, 'none'],
  [ANNOTATION.queueLimit, '-3', /≥ 0/, 'none'],
  [ANNOTATION.coldStartTimeout, '0', /≥ 1/, 'none'],
  [ANNOTATION.sidecarImage, 'a b', /image reference/, 'none'],
  [ANNOTATION.sidecarResources, 'cpu=1', /JSON object/, 'the default resources'],
  [ANNOTATION.sidecarResources, '{"requests":{"cpu":"a lot"}}', /quantity/, 'ignored'],
  [ANNOTATION.paused, 'off', /true or false/, 'false'],
  [ANNOTATION.ordered, 'strict', /true or false/, 'false'],
  [ANNOTATION.retryJitter, '0.2', /from 0 to 100/, 'none'],
  [ANNOTATION.jobShare, '101', /from 0 to 100/, 'none'],
  [ANNOTATION.auth, '{}', /Jwt, ApiKeys, or both/, 'every call is refused'],
  [
    ANNOTATION.auth,
    '{"ApiKeys":["*"],"Jwd":1}',
    /Jwd is not known; did you mean Jwt/,
    'every call is refused',
  ],
  [ANNOTATION.auth, '{"ApiKeys":["a b"]}', /names of API keys/, 'every call is refused'],
  [ANNOTATION.auth, '{"Jwt":{}}', /an Issuer as the proxy has it/, 'every call is refused'],
  [
    ANNOTATION.auth,
    '{"Jwt":{"Issuer":"i","RequiredClaims":{"a":1}}}',
    /RequiredClaims/,
    'every call is refused',
  ],
  [ANNOTATION.dependedOnBy, 'team-a, Team/x', /a namespace, namespace\/name/, 'ignored'],
  [ANNOTATION.cors, 'shop.example.com', /https:\/\/shop.example.com/, 'this site may not call it'],
  [ANNOTATION.cors, 'null', /origins like/, 'this site may not call it'],
  [ANNOTATION.cors, '{"Methods":["GET"]}', /Origins: a list of/, 'no other site may call it'],
  [ANNOTATION.cors, '{"Origins":["*"],"Credentials":true}', /not allowed beside the origin '\*'/, 'false'],
  [ANNOTATION.cors, '{"Origins":["*"],"Methods":["GE T"]}', /Methods is not allowed/, 'ignored'],
  [ANNOTATION.cors, '{"Origins":["*"],"MaxAge":90000}', /from 0 to 86400/, 'none'],
  [ANNOTATION.rateLimit, '10', /JSON object/, "the proxy's default"],
  [ANNOTATION.rateLimit, '{"PerCaller":{"Rate":0}}', /PerCaller.Rate is not allowed/, "the proxy's default"],
  [ANNOTATION.rateLimit, '{"PerCaller":{"Burst":5}}', /an object with a Rate/, "the proxy's default"],
  [ANNOTATION.rateLimit, '{"PerFunction":{"Rate":5,"Burst":0.5}}', /Burst is not allowed/, '5'],
];

for (const [name, value, allowed, inForce] of INVALID) {
  test(`behaviour 37: ${name}: ${JSON.stringify(value)} is a fault and the default is in force`, () => {
    const annotations = { 'SlimFaas/Function': 'true', 'SlimFaas/ReplicasAtStart': '4', [name]: value };
    const fault = onlyFault(annotations);
    assert.equal(fault.annotation, name);
    assert.ok(value.includes(fault.value.replace(/^"(.*)"$/, '$1')), fault.value);
    assert.match(fault.problem, allowed);
    assert.equal(fault.inForce, inForce);
    if (name !== ANNOTATION.replicasAtStart) assert.equal(parse(annotations).spec.replicasAtStart, 4);
  });
}

test('the value of SlimFaas/Function is read in any case', () => {
  for (const value of ['true', 'True', ' TRUE '])
    assert.equal(parse({ 'SlimFaas/Function': value }).isFunction, true);
  for (const value of ['false', '', 'False'])
    assert.equal(parse({ 'SlimFaas/Function': value }).isFunction, false);
});

test('ReplicasAtStart is never below ReplicasMin', () => {
  const { spec, faults } = parse({ 'SlimFaas/ReplicasMin': '3', 'SlimFaas/ReplicasAtStart': '2' });
  assert.equal(spec.replicasAtStart, 3);
  assert.deepEqual(faults, []);
});

test('the main name wins over its alias, which counts only alone', () => {
  const both = parse({ 'SlimFaas/DefaultTrust': 'Trusted', 'SlimFaas/DefaultTrusted': 'Untrusted' });
  assert.equal(both.spec.trusted, true);
  const blank = parse({ 'SlimFaas/DefaultTrust': ' ', 'SlimFaas/DefaultTrusted': 'Untrusted' });
  assert.equal(blank.spec.trusted, false);
  const paths = parse({
    'SlimFaas/UrlsPathStartWithVisibility': 'Private:/alias',
    'SlimFaas/PathsStartWithVisibility': 'Private:/main',
  });
  assert.deepEqual(paths.spec.pathVisibility, [{ visibility: 'Private', prefix: '/main' }]);
});

test('an event without a prefix has the visibility of the function', () => {
  const { spec } = parse({
    'SlimFaas/DefaultVisibility': 'Private',
    'SlimFaas/SubscribeEvents': 'a,Public:b',
  });
  assert.deepEqual(
    spec.subscribeEvents.map((event) => event.visibility),
    ['Private', 'Public'],
  );
});

test('a misspelt Private does not open what was meant to be closed', () => {
  const { spec } = parse({
    'SlimFaas/PathsStartWithVisibility': 'Privat:/x',
    'SlimFaas/SubscribeEvents': 'Privat:e',
  });
  assert.deepEqual(spec.pathVisibility, [{ visibility: 'Private', prefix: '/x' }]);
  assert.deepEqual(spec.subscribeEvents, [{ visibility: 'Private', event: 'e' }]);
});

test('one bad item of a list leaves the others in force', () => {
  const { spec, faults } = parse({ 'SlimFaas/DependsOn': 'good,BAD,fine' });
  assert.deepEqual(spec.dependsOn, ['good', 'fine']);
  assert.equal(faults.length, 1);
});

test('a key in the wrong case does nothing and is named with the right one', () => {
  const fault = onlyFault({ 'slimfaas/replicasmin': '1' });
  assert.equal(fault.problem, 'unknown annotation; did you mean SlimFaas/ReplicasMin?');
  assert.equal(fault.inForce, 'ignored');
  assert.equal(parse({ 'slimfaas/replicasmin': '1' }).spec.replicasMin, 0);
});

test('a misspelt key is named with the closest known one, a hopeless one without', () => {
  assert.match(
    onlyFault({ 'SlimFaas/NumberParalelRequest': '1' }).problem,
    /mean SlimFaas\/NumberParallelRequest\?/,
  );
  assert.doesNotMatch(onlyFault({ 'SlimFaas/Zzzzzzzzzzzzzzzzzzzzzz': '1' }).problem, /did you mean/);
  assert.match(onlyFault({ 'slimfaas.dev/ports': '1' }).problem, /did you mean slimfaas\.dev\/port\?/);
});

test('annotations of others and our own status are no faults', () => {
  const { faults } = parse({
    'slimfaas.dev/status': '{}',
    'slimfaas.dev/team': 'x',
    'prometheus.io/scrape': 'true',
    constructor: 'x',
  });
  assert.deepEqual(faults, []);
});

test('a long value is cut in its fault', () => {
  const fault = onlyFault({ 'SlimFaas/ReplicasMin': 'x'.repeat(5_000) });
  assert.ok(fault.value.length <= 200);
});

test('who is woken by its Services and says that direct traffic is no use has its way', () => {
  const annotations = { [ANNOTATION.services]: 'wake', [ANNOTATION.directTraffic]: 'ignore' };
  assert.equal(parse(annotations).spec.direct.isCounted, false);
});

test('who asks its callers who they are is not woken by its Services', () => {
  const auth = '{"ApiKeys": ["team-a"]}';
  const asked = { [ANNOTATION.services]: 'wake', [ANNOTATION.auth]: auth };
  const fault = onlyFault(asked);
  assert.equal(fault.annotation, ANNOTATION.services);
  assert.match(fault.problem, /not allowed beside slimfaas\.dev\/auth/);
  assert.equal(parse(asked).spec.services, 'ignore');
  assert.equal(parse({ ...asked, [ANNOTATION.auth]: 'none' }).spec.services, 'wake');
});

test('an installation may let all functions be woken by their Services', () => {
  const services = (annotations: Record<string, string>) =>
    parseAnnotations(annotations, { services: 'wake' }).spec.services;
  assert.equal(services({}), 'wake');
  assert.equal(services({ [ANNOTATION.services]: 'ignore' }), 'ignore');
  assert.equal(services({ [ANNOTATION.auth]: '{"ApiKeys": ["team-a"]}' }), 'ignore');
});
