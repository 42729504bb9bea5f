/** Where a tenant's URL may lead: its own namespace's Services, the operator's list, and never this machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkedSources } from '../../../scaler/sources/source-flags.ts';
import { Reach, SourceRefused } from '../../../scaler/sources/reach.ts';
import { serve } from '../../helpers/serve.ts';
import { SourcesWorld } from '../support/sources-world.ts';

const PLACES: Readonly<Record<string, string>> = {
  'jobs.shop.svc': '10.96.0.10',
  'jobs.shop.svc.cluster.local': '10.96.0.10',
  'pod-0.jobs.shop.svc': '10.244.0.7',
  'jobs.other.svc': '10.96.0.11',
  'bad.shop.svc': '169.254.169.254',
  'me.shop.svc': '127.0.0.1',
  'shop.svc.evil.com': '10.96.0.1',
  'jobs.shop.svc.evil.com': '10.96.0.1',
  'a.b.jobs.shop.svc': '10.96.0.1',
  'jobs.shop': '10.96.0.10',
  'metrics.example.com': '93.184.216.34',
  'rebound.example.com': '10.0.0.1',
};

async function reaches(url: string, allow: readonly string[] = []): Promise<string> {
  const reach = new Reach({ allow, resolve: async (host) => [PLACES[host] ?? '10.9.9.9'] });
  try {
    return await reach.address('shop', url, AbortSignal.timeout(1_000));
  } catch (error) {
    assert.ok(error instanceof SourceRefused, String(error));
    return 'refused';
  }
}

for (const [url, expected] of [
  ['http://jobs.shop.svc:9090/metrics', '10.96.0.10'],
  ['http://JOBS.shop.svc.cluster.local./metrics', '10.96.0.10'],
  ['http://pod-0.jobs.shop.svc/', '10.244.0.7'],
  // Another namespace's, and what only looks like one's own.
  ['http://jobs.other.svc:9090/', 'refused'],
  ['http://jobs.shop/', 'refused'],
  ['http://jobs/', 'refused'],
  ['http://shop.svc.evil.com/', 'refused'],
  ['http://jobs.shop.svc.evil.com/', 'refused'],
  ['http://a.b.jobs.shop.svc/', 'refused'],
  ['http://svc/', 'refused'],
  // Whatever a Service of its own leads to.
  ['http://bad.shop.svc/', 'refused'],
  ['http://me.shop.svc/', 'refused'],
  // Addresses, in each spelling.
  ['http://169.254.169.254/', 'refused'],
  ['http://127.0.0.1:10250/', 'refused'],
  ['http://0x7f.1/', 'refused'],
  ['http://[::ffff:10.96.0.1]/', 'refused'],
  ['http://10.96.0.1/', 'refused'],
  ['http://metrics.example.com/', 'refused'],
] as const)
  test(`${url} without a list: ${expected}`, async () => assert.equal(await reaches(url), expected));

test('what the operator lists: names in public, name:port in private, addresses', async () => {
  const allow = ['*.example.com', 'jobs.other.svc:9090', '10.9.0.0/16'];
  assert.equal(await reaches('https://metrics.example.com/', allow), '93.184.216.34');
  assert.equal(await reaches('http://rebound.example.com/', allow), 'refused');
  assert.equal(await reaches('http://jobs.other.svc:9090/', allow), '10.96.0.11');
  assert.equal(await reaches('http://jobs.other.svc:9091/', allow), 'refused');
  assert.equal(await reaches('http://10.9.1.1/', allow), '10.9.1.1');
  assert.throws(() => checkedSources(['10.1.0.0/99']), /--source-allow: "10.1.0.0\/99" is not allowed/);
  assert.deepEqual(checkedSources(['*', '10.1.0.0/16']), ['*', '10.1.0.0/16']);
});

test('the connection goes to the address that was judged, and a name that leads elsewhere later is refused', async (t) => {
  const host = await serve(t, (req, res) => res.end(`x{host="${req.headers.host}"} 1\n`));
  const port = host.split(':')[1];
  let address = '127.0.0.1';
  const world = new SourcesWorld(t, {
    allow: ['127.0.0.1', 'jobs.example.com'],
    resolve: async () => [address],
  });
  const url = `http://jobs.example.com:${port}/`;
  const [reading] = await world.first(
    { Url: url },
    { Query: `x{host="jobs.example.com:${port}"}`, Threshold: 1 },
  );
  assert.deepEqual(reading, { value: 1, isWhole: true });
  address = '169.254.169.254';
  const later = new SourcesWorld(t, {
    allow: ['127.0.0.1', 'jobs.example.com'],
    resolve: async () => [address],
  });
  const [refused] = await later.first({ Url: url }, { Query: 'x', Threshold: 1 });
  assert.match(refused?.fault ?? '', /jobs.example.com is at 169.254.169.254, which is local/);
});

test('for gRPC and NATS the same holds', async (t) => {
  const world = new SourcesWorld(t, { allow: [] });
  const external = { Type: 'external', Url: 'grpc://10.96.0.1:443' };
  const [grpc] = await world.first(external, { Threshold: 1 });
  assert.match(grpc?.fault ?? '', /10.96.0.1 is not in --source-allow/);
  const stream = {
    Type: 'nats-jetstream',
    Url: 'nats://metadata.google.internal:4222',
    Stream: 's',
    Consumer: 'c',
  };
  const [nats] = await new SourcesWorld(t, { allow: [] }).first(stream, { Threshold: 1 });
  assert.match(nats?.fault ?? '', /metadata.google.internal is not in --source-allow/);
});
