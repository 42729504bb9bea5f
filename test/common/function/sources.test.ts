/** `Sources` of SlimFaas/Scale and the triggers that name them: what is read, and what is a fault of its part alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';

function read(sources: unknown, ...triggers: object[]) {
  const scale = { ScaleFromZero: true, Sources: sources, Triggers: triggers };
  const { spec, faults } = parseAnnotations({ 'SlimFaas/Scale': JSON.stringify(scale) });
  return { scale: spec.scale, problems: faults.map(({ problem }) => problem) };
}

const PAGE = { Name: 'jobs', Url: 'http://exporter.shop.svc:9090/metrics' };
const ASK = { Source: 'jobs', Query: 'sum(jobs)', Threshold: 10 };

test('SlimFaas’s own form: a name and the URL of a page', () => {
  const { scale, problems } = read([PAGE], ASK);
  assert.deepEqual(problems, []);
  assert.deepEqual(scale?.sources, [
    { name: 'jobs', intervalMs: 5_000, secret: undefined, type: 'metrics', url: PAGE.Url },
  ]);
  assert.equal(scale?.triggers[0]?.source, 'jobs');
  assert.equal(scale?.scaleFromZero, true);
});

test('each type has its own parts', () => {
  const base = { intervalMs: 5_000, secret: undefined };
  const all = [
    {
      Name: 'p',
      Type: 'Prometheus',
      Url: 'https://prom.example.com/x',
      IntervalMilliseconds: 1_000,
      Secret: 'login',
    },
    { Name: 'n', Type: 'nats-jetstream', Url: 'tls://nats.shop.svc', Stream: 'WORK', Consumer: 'w' },
    { Name: 'e', Type: 'external', Url: 'grpc://scaler.shop.svc:9000', Metadata: { a: 'x', b: 5, c: null } },
    {
      Name: 'c',
      Type: 'cron',
      Start: '0 8 * * 1-5',
      End: '0 18 * * *',
      TimeZone: 'Europe/Paris',
      DesiredReplicas: 3,
    },
  ];
  const { scale, problems } = read(
    all,
    { Source: 'e' },
    { Source: 'c', Threshold: 1 },
    { Source: 'e', Threshold: 2 },
  );
  assert.deepEqual(problems, ['Sources[2].Metadata.c is not allowed; allowed: a text']);
  assert.deepEqual(scale?.sources, [
    { name: 'p', intervalMs: 1_000, secret: 'login', type: 'prometheus', url: 'https://prom.example.com/x' },
    { name: 'n', ...base, type: 'nats-jetstream', url: 'tls://nats.shop.svc', stream: 'WORK', consumer: 'w' },
    {
      name: 'e',
      ...base,
      type: 'external',
      url: 'grpc://scaler.shop.svc:9000',
      metadata: { a: 'x', b: '5' },
    },
    {
      name: 'c',
      ...base,
      type: 'cron',
      start: '0 8 * * 1-5',
      end: '0 18 * * *',
      timeZone: 'Europe/Paris',
      replicas: 3,
    },
  ]);
  assert.deepEqual(
    scale?.triggers.map(({ hasOwnTarget, threshold }) => [hasOwnTarget, threshold]),
    [
      [true, 1],
      [false, 1],
      [false, 2],
    ],
  );
});

for (const [what, source, problem] of [
  ['no name', { Url: PAGE.Url }, /Sources\[0\] is not allowed; allowed: a Name/],
  ['a long name', { ...PAGE, Name: 'x'.repeat(129) }, /Sources\[0\]\.Name is not allowed/],
  [
    'no URL',
    { Name: 'jobs' },
    /a Url such as http:\/\/host:port or https:\/\/host:port, without credentials/,
  ],
  ['credentials in the URL', { ...PAGE, Url: 'http://u:p@exporter/' }, /without credentials/],
  ['a file', { ...PAGE, Url: 'file:///etc/passwd' }, /Sources\[0\]\.Url is not allowed/],
  ['a fragment', { ...PAGE, Url: 'http://exporter/#x' }, /without credentials and fragment/],
  ['http where gRPC is spoken', { ...PAGE, Type: 'external' }, /grpc:\/\/host:port or grpcs:\/\/host:port/],
  [
    'no stream',
    { Name: 'jobs', Type: 'nats-jetstream', Url: 'nats://n', Consumer: 'c' },
    /a Stream: a name without/,
  ],
  [
    'a subject as stream',
    { Name: 'jobs', Type: 'nats-jetstream', Url: 'nats://n', Stream: 'a.>', Consumer: 'c' },
    /Stream/,
  ],
  ['a Secret elsewhere', { ...PAGE, Secret: 'other/login' }, /the name of a Secret of the same namespace/],
  ['no start', { Name: 'jobs', Type: 'cron', End: '0 8 * * *' }, /Start as five fields of cron/],
  [
    'a bad end',
    { Name: 'jobs', Type: 'cron', Start: '0 8 * * *', End: 'soon' },
    /End as five fields of cron/,
  ],
  [
    'a bad zone',
    { Name: 'jobs', Type: 'cron', Start: '0 8 * * *', End: '0 9 * * *', TimeZone: 'Paris' },
    /IANA/,
  ],
] as const)
  test(`${what}: that source is ignored, with its triggers, and the rest stays`, () => {
    const { scale, problems } = read([source, { ...PAGE, Name: 'good' }], ASK, { ...ASK, Source: 'good' });
    assert.match(problems[0] ?? '', problem);
    assert.match(
      problems[1] ?? '',
      /Triggers\[0\]\.Source is not allowed; allowed: the Name of one of Sources: good/,
    );
    assert.deepEqual([scale?.sources.length, scale?.triggers.length], [1, 1]);
  });

test('a name is given once, and there are at most ten', () => {
  const { scale, problems } = read([PAGE, PAGE], ASK);
  assert.deepEqual(
    [scale?.sources.length, problems],
    [1, ['Sources[1] is not allowed; allowed: a Name of its own, not jobs again']],
  );
  const many = Array.from({ length: 12 }, (_, i) => ({ ...PAGE, Name: `s${i}` }));
  const long = read(many, { ...ASK, Source: 's9' });
  assert.deepEqual(
    [long.scale?.sources.length, long.problems],
    [10, ['Sources is not allowed; allowed: at most 10 sources']],
  );
});

test('Metadata has room for 50 entries and 4 KiB; a source with more is ignored, with a fault', () => {
  const readOf = (count: number, text: string) => {
    const metadata = Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, text]));
    const source = { Name: 'e', Type: 'external', Url: 'grpc://e:1', Metadata: metadata };
    const { scale, problems } = read([source], { Source: 'e' });
    return [scale?.sources.length ?? 0, problems[0]];
  };
  const fault =
    'Sources[0].Metadata is not allowed; allowed: at most 50 entries and 4096 bytes of JSON in all';
  assert.deepEqual(readOf(50, 'x'), [1, undefined]);
  assert.deepEqual(readOf(51, 'x'), [0, fault]);
  assert.deepEqual(readOf(1, 'x'.repeat(4_000)), [1, undefined]);
  assert.deepEqual(readOf(1, 'x'.repeat(4_096)), [0, fault]);
});

test('a trigger and its source must fit each other', () => {
  const lag = { Name: 'lag', Type: 'nats-jetstream', Url: 'nats://n', Stream: 's', Consumer: 'c' };
  const external = { Name: 'ext', Type: 'external', Url: 'grpc://e:1' };
  const { scale, problems } = read(
    [PAGE, lag, external],
    { Source: 'jobs', Threshold: 1 },
    { Source: 'lag', Query: 'up', Threshold: 1 },
    { Source: 'lag' },
    { Source: 'ext', ActivationThreshold: 4 },
  );
  assert.deepEqual(problems, [
    'Triggers[0] is not allowed; allowed: a Query, for its Source is of Type metrics',
    'Triggers[1].Query is not allowed; allowed: no Query, for its Source is of Type nats-jetstream',
    'Triggers[2] is not allowed; allowed: a Threshold > 0',
    'Triggers[3].ActivationThreshold is not allowed; allowed: ActivationThreshold beside a Query, not of an external scaler',
  ]);
  assert.deepEqual(
    scale?.triggers.map(({ source, query }) => [source, query]),
    [
      ['lag', ''],
      ['ext', ''],
    ],
  );
});
