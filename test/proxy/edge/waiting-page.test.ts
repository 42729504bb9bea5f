/** `slimfaas.dev/waiting-page`: who sees it, when, and what comes after it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import type { ReasonError } from '../../../common/runtime/errors.ts';
import { WaitingPages } from '../../../proxy/waiting/waiting-page.ts';
import { waitingPageTemplate } from '../../../proxy/waiting/waiting-page-template.ts';
import { waitFor } from '../../helpers/wait.ts';
import { h2Client } from '../http2/h2-client.ts';
import { callUrl } from '../support/calls.ts';
import { startTestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';

const BROWSER = { Accept: 'text/html,application/xhtml+xml;q=0.9', 'Sec-Fetch-Mode': 'navigate' };

/** A clock whose timers the test ends by hand. */
class HandClock {
  readonly timers: { readonly ms: number; readonly run: () => void }[] = [];
  now(): number {
    return 0;
  }
  after(ms: number, run: () => void): () => void {
    const timer = { ms, run };
    this.timers.push(timer);
    return () => void this.timers.splice(this.timers.indexOf(timer), 1);
  }
}

type Watched = Parameters<WaitingPages['watch']>[0];

function setUp({ seconds = 3, size = 0, isUsable = false, name = 'shop' } = {}) {
  const clock = new HandClock();
  const template = 'A {{function}} B {{progress}} C {{other}}';
  const pages = new WaitingPages({ clock, defaultSeconds: seconds, template });
  const pods = { isUsable, size };
  const spec = { waitingPageSeconds: undefined };
  const entry = { view: { id: { namespace: 'default', name }, spec }, pods } as unknown as Watched;
  const given: ReasonError[] = [];
  const watch = (method: string, headers: Record<string, string>) =>
    pages.watch(entry, { method, path: '/', headers: Object.entries(headers).flat() }, (page) =>
      given.push(page),
    );
  return { clock, pods, given, watch };
}

describe('who gets a page', () => {
  const cases: readonly [what: string, method: string, headers: Record<string, string>, gets: boolean][] = [
    ['a navigation', 'GET', BROWSER, true],
    ['a browser that does not say its mode', 'GET', { Accept: 'Text/HTML' }, true],
    ['a script that fetches a page', 'GET', { ...BROWSER, 'Sec-Fetch-Mode': 'cors' }, false],
    ['a frame in a page', 'GET', { ...BROWSER, 'Sec-Fetch-Dest': 'iframe' }, false],
    ['a page in a window', 'GET', { ...BROWSER, 'Sec-Fetch-Dest': 'document' }, true],
    ['a form that is sent', 'POST', BROWSER, false],
    ['HEAD', 'HEAD', BROWSER, false],
    ['curl', 'GET', { Accept: '*/*' }, false],
    ['a client of an API', 'GET', { Accept: 'application/json' }, false],
    ['nothing said', 'GET', {}, false],
  ];
  for (const [what, method, headers, gets] of cases)
    it(what, () => {
      const { clock, watch } = setUp();
      assert.equal(watch(method, headers) !== undefined, gets);
      assert.deepEqual(
        clock.timers.map(({ ms }) => ms),
        gets ? [3_000] : [],
      );
    });

  it('nobody with 0 seconds', () => assert.equal(setUp({ seconds: 0 }).watch('GET', BROWSER), undefined));
});

test('nobody while pods are up and full: that is another wait', () => {
  const { clock, pods, given, watch } = setUp();
  watch('GET', BROWSER);
  pods.isUsable = true;
  clock.timers[0]?.run();
  assert.deepEqual(given, []);
});

test('names and progress are written as text, and other places of a template stay', () => {
  const { clock, given, watch } = setUp({ name: '<b>&"\'', size: 1 });
  watch('GET', BROWSER);
  clock.timers[0]?.run();
  const [page] = given;
  assert.match(
    page?.answer?.body ?? '',
    /^A &#60;b&#62;&#38;&#34;&#39; B Its pod is there .* C \{\{other\}\}$/,
  );
  assert.deepEqual([page?.status, page?.retryAfterSeconds], [503, 1]);
});

test('a browser is shown a page, over HTTP/1.1 and HTTP/2, then the app; another client waits for the app', async () => {
  await using t = await startTestProxy();
  t.addFunction('shop', { 'slimfaas.dev/waiting-page': '1' });
  const url = `${t.url}/function/shop/a`;
  const program = callUrl(url, { headers: { Accept: 'application/json' } });
  const shown = await callUrl(url, { headers: BROWSER });
  assert.equal(shown.status, 503);
  assert.deepEqual(
    [shown.headers['content-type'], shown.headers['slimfaas-reason'], shown.headers['retry-after']],
    ['text/html; charset=utf-8', 'starting', '1'],
  );
  assert.equal(shown.headers['cache-control'], 'no-store');
  assert.match(shown.text, /<h1>shop is starting<\/h1>/);
  assert.match(shown.text, /http-equiv="refresh"/);
  assert.doesNotMatch(shown.text, /<script|src=|href=/);
  using client = h2Client(t.url);
  const streamed = await client.call('/function/shop/a', { headers: { accept: 'text/html' } });
  assert.equal(streamed.status, 503);
  assert.match(streamed.text, /<h1>shop is starting<\/h1>/);
  assert.equal((await statusOf(t, 'shop')).Waiting, 1, 'the other client alone waits');
  await t.addPod('shop', { run: (_req, res) => res.end('the app') });
  assert.equal((await program).text, 'the app');
  await waitFor(async () => (await callUrl(url, { headers: BROWSER })).text === 'the app', {
    what: 'the app takes the place of the page',
  });
});

test('a page of one’s own is read at the start; what cannot serve as one is refused by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waiting-page-'));
  const file = join(folder, 'page.html');
  try {
    assert.throws(
      () => waitingPageTemplate(file),
      /--waiting-page-file: .*page\.html cannot be read: .*ENOENT/,
    );
    await writeFile(file, '<p>soon</p>');
    assert.throws(() => waitingPageTemplate(file), /does not ask again by itself/);
    const page = '<meta http-equiv="refresh" content="1"><p>{{function}}, soon</p>';
    await writeFile(file, page + 'x'.repeat(256 * 1024));
    assert.throws(() => waitingPageTemplate(file), /larger than 262144 bytes/);
    await writeFile(file, page);
    await using t = await startTestProxy([`--waiting-page-file=${file}`, '--waiting-page-seconds=1']);
    t.addFunction('shop');
    const shown = await callUrl(`${t.url}/function/shop/`, { headers: BROWSER });
    assert.match(shown.text, /<p>shop, soon<\/p>/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
