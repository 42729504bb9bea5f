/** Scrapes of real HTTP servers: what pods may say, and how much. */
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  compileQuery,
  createSeriesStore,
  queryNumber,
  type SeriesStore,
} from '../../../scaler/promql/query.ts';
import { ROUND_LIMITS, Scraper } from '../../../scaler/scrape/scraper.ts';
import { SCRAPE_LIMITS } from '../../../scaler/scrape/scrape-one.ts';
import type { ScrapeTarget } from '../../../scaler/scrape/scrape-targets.ts';
import { serve } from '../../helpers/serve.ts';

const says =
  (text: string): RequestListener =>
  (_request, response) =>
    void response.end(text);

function target(host: string, pod = 'p', more: Partial<ScrapeTarget> = {}): ScrapeTarget {
  const labels = { namespace: 'shop', function: 'fn', pod };
  return { url: `http://${host}/metrics`, labels, owner: 'shop/fn', kind: 'function', ...more };
}

function scraperInto(store: SeriesStore = createSeriesStore()) {
  const clock = { nowMs: 1_000 };
  store.setWanted([[]]);
  return { store, clock, scraper: new Scraper({ store, now: () => clock.nowMs }) };
}

function seriesOf(store: SeriesStore, atMs: number): Record<string, string>[] {
  return store
    .latest([], 0, atMs)
    .map(({ labels, value }) => ({ ...Object.fromEntries(labels), '=': `${value}` }));
}

test('series carry the pod’s labels; one that does not answer, or is gone, has no series', async (t) => {
  const { store, clock, scraper } = scraperInto();
  const host = await serve(t, says('x 1\ny{a="b"} 2\n'));
  const broken = await serve(t, (_request, response) => {
    response.statusCode = 500;
    response.end('x 9\n');
  });
  await scraper.scrape([target(host), target(broken, 'q')]);
  const stamp = { namespace: 'shop', function: 'fn', pod: 'p', instance: host };
  assert.deepEqual(
    seriesOf(store, clock.nowMs),
    [
      { __name__: 'x', ...stamp, '=': '1' },
      { __name__: 'y', a: 'b', ...stamp, '=': '2' },
    ].map((one) => Object.fromEntries(Object.entries(one))),
  );
  clock.nowMs += 1_000;
  await scraper.scrape([target(broken, 'q')]);
  assert.deepEqual(seriesOf(store, clock.nowMs), []);
  assert.deepEqual([...scraper.refused], [['status', 2]]);
  assert.equal(
    scraper.faultOf('shop/fn'),
    undefined,
    'a pod that does not answer is no fault of the annotations',
  );
});

test('a redirect is refused, is a fault of the function, and leads nowhere', async (t) => {
  let visits = 0;
  const secret = await serve(t, (_request, response) => {
    visits += 1;
    response.end('x 1\n');
  });
  for (const status of [301, 302, 303, 307, 308]) {
    const { store, clock, scraper } = scraperInto();
    const host = await serve(t, (_request, response) => {
      response.writeHead(status, { location: `http://${secret}/internal` });
      response.end('x 1\n');
    });
    await scraper.scrape([target(host)]);
    assert.deepEqual(seriesOf(store, clock.nowMs), []);
    assert.match(
      scraper.faultOf('shop/fn')?.text ?? '',
      new RegExp(`pod p: .*redirect \\(status ${status}\\)`),
    );
  }
  assert.equal(visits, 0);
});

test('a pod cannot speak for another function, nor in our name', async (t) => {
  const { store, clock, scraper } = scraperInto();
  const forged = 'slimfaas_function_queue_ready_items{namespace="victim",function="shop"} 99999\n';
  const host = await serve(
    t,
    says(`${forged}m{function="shop",namespace="victim",pod="v",instance="i"} 1\nm{__name__="x"} 2\n`),
  );
  await scraper.scrape([
    target(host),
    target(host, 'exporter', {
      url: `http://${host}/o`,
      labels: { namespace: 'evil', pod: 'e' },
      owner: 'pod evil/e',
      kind: 'other',
    }),
    target(host, 'p', { url: `http://${host}/s`, kind: 'sidecar' }),
  ]);
  const exported = {
    exported_function: 'shop',
    exported_namespace: 'victim',
    exported_pod: 'v',
    exported_instance: 'i',
  };
  const seen = seriesOf(store, clock.nowMs);
  assert.deepEqual(
    seen.map(({ __name__, namespace, function: fn }) => [__name__, namespace, fn]),
    [
      ['m', 'shop', 'fn'],
      ['m', 'evil', undefined],
    ].concat([]),
  );
  for (const series of seen)
    for (const [name, value] of Object.entries(exported)) assert.equal(series[name], value);
});

test('a sidecar may say what is a sidecar’s, and our own proxies speak of all functions', async (t) => {
  const { store, clock, scraper } = scraperInto();
  const text = ['slimfaas_sidecar_x', 'slimfaas_proxy_x']
    .map((name) => `${name}{namespace="a",function="b"} 1\n`)
    .join('');
  const host = await serve(t, says(text));
  await scraper.scrape([
    target(host, 'p', { url: `http://${host}/s`, kind: 'sidecar' }),
    target(host, 'proxy-0', {
      url: `http://${host}/p`,
      labels: { namespace: 'slimfaas', pod: 'proxy-0' },
      owner: 'pod',
      kind: 'system',
    }),
  ]);
  assert.deepEqual(
    seriesOf(store, clock.nowMs).map(({ __name__, namespace, function: fn, pod }) => [
      __name__,
      namespace,
      fn,
      pod,
    ]),
    [
      ['slimfaas_sidecar_x', 'shop', 'fn', 'p'],
      ['slimfaas_sidecar_x', 'a', 'b', 'proxy-0'],
      ['slimfaas_proxy_x', 'a', 'b', 'proxy-0'],
    ],
  );
});

test('more samples or bytes than one answer may have: all of the pod’s series go, and it is a fault', async (t) => {
  const line = 'm 1\n'.repeat(16_384);
  const cases: [reason: string, RequestListener, RegExp][] = [
    [
      'samples',
      (_request, response) => {
        for (let i = 0; i < 120; i++) response.write(line);
        response.end();
      },
      /more than 10000 samples/,
    ],
    [
      'samples',
      says(Array.from({ length: SCRAPE_LIMITS.samples + 1 }, (_, i) => `m{i="${i}"} 1\n`).join('')),
      /more than 10000 samples/,
    ],
    ['bytes', says(`# ${'x'.repeat(8_000)}\n`.repeat(1_100)), /more than 8388608 bytes/],
    ['bytes', says('x'.repeat(9 * 1024 * 1024)), /more than 8388608 bytes/],
  ];
  for (const [reason, listener, message] of cases) {
    const { store, clock, scraper } = scraperInto();
    const host = await serve(t, listener);
    await scraper.scrape([target(host)]);
    assert.deepEqual(seriesOf(store, clock.nowMs), [], reason);
    assert.deepEqual([...scraper.refused.keys()], [reason]);
    assert.match(scraper.faultOf('shop/fn')?.text ?? '', message);
  }
});

test('a fault ends when the pod can be scraped again', async (t) => {
  const { clock, scraper } = scraperInto();
  let text = 'm 1\n'.repeat(10_001);
  const host = await serve(t, (_request, response) => void response.end(text));
  await scraper.scrape([target(host)]);
  assert.notEqual(scraper.faultOf('shop/fn'), undefined);
  text = 'm 1\n';
  clock.nowMs += 1_000;
  await scraper.scrape([target(host)]);
  assert.equal(scraper.faultOf('shop/fn'), undefined);
});

test('the pods of one function may send so many bytes a round; the others lose nothing by it', async (t) => {
  const { store, clock, scraper } = scraperInto();
  const big = `# ${'x'.repeat(8_000)}\n`.repeat(1_000); // 8 MB
  const host = await serve(t, says(`${big}m 1\n`));
  const other = await serve(t, says('m 7\n'));
  const pods = Array.from({ length: 8 }, (_, i) => target(host, `p${i}`, { url: `http://${host}/${i}` }));
  await scraper.scrape([
    ...pods,
    target(other, 'o', { labels: { namespace: 'shop', function: 'b', pod: 'o' }, owner: 'shop/b' }),
  ]);
  assert.match(
    scraper.faultOf('shop/fn')?.text ?? '',
    new RegExp(`more than ${ROUND_LIMITS.bytesOfOwner} bytes in one round`),
  );
  const query = compileQuery('m', { namespace: 'shop', function: 'b' });
  assert.equal(queryNumber(query, store, clock.nowMs), 7);
});

test('of one function so many pods are asked at once, so that its slow ones do not hold up the others', async () => {
  const held: PromiseWithResolvers<Response>[] = [];
  let isOtherDone = false;
  const get = (async (url: string) => {
    if (url.includes('quick')) {
      isOtherDone = true;
      return new Response('m 1\n');
    }
    const answer = Promise.withResolvers<Response>();
    held.push(answer);
    return answer.promise;
  }) as typeof fetch;
  const store = createSeriesStore();
  store.setWanted([[]]);
  const scraper = new Scraper({ store, now: () => 0, fetch: get });
  const pods = Array.from({ length: 30 }, (_, i) => target(`slow:${i + 1}`, `p${i}`));
  const round = scraper.scrape([...pods, target('quick:1', 'q', { owner: 'shop/b' })]);
  for (let ended = 0; ended < pods.length; ended++) {
    await turn();
    assert.equal(held.length, Math.min(pods.length, ended + ROUND_LIMITS.atOnceOfOwner));
    assert.ok(isOtherDone);
    held[ended]?.resolve(new Response('m 1\n'));
    await turn();
  }
  await round;
});

test('all pods together may send so many bytes a round; beyond it those that have sent little still may', async () => {
  const big = 7 * 1_048_576;
  const bigs = Array.from({ length: 24 }, (_, i) => `f${i % 6}`); // 28 MiB of each function, 168 in all
  let left = bigs.length;
  const others = Promise.withResolvers<void>();
  const bodyOf = (): ReadableStream<Uint8Array> => {
    let sent = 0;
    const ended = (): void => {
      left -= 1;
      if (left === 0) others.resolve();
    };
    return new ReadableStream({
      pull(controller) {
        sent += LINES.length;
        controller.enqueue(LINES);
        if (sent < big) return;
        controller.close();
        ended();
      },
      cancel: ended,
    });
  };
  const get = (async (url: string) => {
    if (!url.includes('small')) return new Response(bodyOf());
    await others.promise;
    return new Response('m 7\n');
  }) as typeof fetch;
  const store = createSeriesStore();
  store.setWanted([[]]);
  const scraper = new Scraper({ store, now: () => 1_000, fetch: get });
  const own = (fn: string, host: string, pod: string) =>
    target(host, pod, { owner: `shop/${fn}`, labels: { namespace: 'shop', function: fn, pod } });
  await scraper.scrape([
    own('small', 'small:1', 's'),
    ...bigs.map((fn, i) => own(fn, `big:${i + 1}`, `p${i}`)),
  ]);
  const faults = [...new Set(bigs)].map((fn) => scraper.faultOf(`shop/${fn}`)?.text ?? '');
  assert.ok(faults.some((text) => text.includes(`all pods sent more than ${ROUND_LIMITS.bytes} bytes`)));
  assert.equal(scraper.faultOf('shop/small'), undefined);
  const query = compileQuery('m', { namespace: 'shop', function: 'small' });
  assert.equal(queryNumber(query, store, 1_000), 7);
});

const LINES = Buffer.from(`# ${'x'.repeat(8_000)}\n`.repeat(32));

test('a pod that lets us wait is asked more and more seldom, until it answers', async (t) => {
  const store = createSeriesStore();
  store.setWanted([[]]);
  let [asked, isSlow] = [0, true];
  const get = (async () => {
    asked += 1;
    if (isSlow) throw new DOMException('too slow', 'TimeoutError');
    return new Response('m 1\n');
  }) as typeof fetch;
  t.after(() => {});
  const scraper = new Scraper({ store, now: () => 0, fetch: get });
  const rounds: number[] = [];
  for (let round = 0; round < 40; round++) {
    const before = asked;
    if (round === 34) isSlow = false;
    await scraper.scrape([target('127.0.0.1:1')]);
    if (asked > before) rounds.push(round);
  }
  assert.deepEqual(rounds, [0, 2, 6, 14, 30]);
  assert.equal(scraper.refused.get('timeout'), 5);
});

test('evil texts: what is beyond a bound is skipped, and the rest is read', async (t) => {
  const { store, clock, scraper } = scraperInto();
  const labels = (n: number, value: string) =>
    Array.from({ length: n }, (_, i) => `l${i}="${value}"`).join(',');
  const evil = [
    `m{${labels(65, 'v')}} 1`,
    `m{a="${'v'.repeat(1_025)}"} 1`,
    `m{${'n'.repeat(257)}="v"} 1`,
    `${'m'.repeat(257)} 1`,
    `m{a="${'v'.repeat(1_020)}",b="${'v'.repeat(1_020)}",c="${'v'.repeat(100)}"} 1`,
    `m{a="${'v'.repeat(20_000)}`,
    'm{__name__="slimfaas_x"} 1',
    '{"slimfaas_function_running_requests",function="victim"} 5',
    'm 0x',
    'm{a="\u0000"} 2',
    '{"utf 8",“q”="x"} 1',
    '{"my.metric","b.c"="d"} 3',
    `ok{${labels(64, 'v')}} 4`,
  ].join('\n');
  const host = await serve(t, says(evil));
  await scraper.scrape([target(host)]);
  const seen = seriesOf(store, clock.nowMs).map((one) => [
    one['__name__'],
    one['='],
    one['b.c'] ?? one['a'] ?? '',
  ]);
  assert.deepEqual(seen, [
    ['m', '2', '\u0000'],
    ['my.metric', '3', 'd'],
    ['ok', '4', ''],
  ]);
});
