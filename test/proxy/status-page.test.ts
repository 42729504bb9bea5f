/** The status page in a real browser; skipped where there is none. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { waitFor } from '../helpers/wait.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { collectWakes } from './support/wakes.ts';

const CHROMIUM = '/usr/bin/chromium';
/** No sandbox, because tests run as root; and nothing that asks the world for updates. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const MARKUP = '<img src=x onerror=document.title="broken">';

test(
  'the page shows functions as they change, wakes one by a button, and shows what others wrote as text',
  { skip: !existsSync(CHROMIUM) && 'no chromium on this machine' },
  async () => {
    await using t = await startTestProxy();
    t.addFunction('fib');
    const wakes = collectWakes(t, 'fib');
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
    try {
      const page = await browser.newPage();
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
      await page.goto(t.url);
      const row = page.getByRole('row', { name: /fib/ });
      await row.getByText('asleep').waitFor();
      await row.getByRole('button', { name: 'Wake fib' }).click();
      await waitFor(() => wakes.length === 1, { what: 'the button wakes' });
      await row.getByRole('button').focus();
      await t.addPod('fib');
      await row.getByText('ready', { exact: true }).waitFor();
      assert.equal(
        await row.getByRole('button').evaluate((button) => button === button.ownerDocument.activeElement),
        true,
      );
      // Faults and troubles are written by others: they are shown, as text.
      t.addFunction('ill', { 'SlimFaas/Configuration': MARKUP });
      const waiting = { reason: 'ErrImagePull', message: MARKUP };
      const status = { containerStatuses: [{ name: 'app', state: { waiting } }] };
      await t.addPod('ill', { isDeaf: true, isReady: false, status });
      const ill = page.getByRole('row', { name: /ill/ });
      const trouble = ill.getByRole('listitem').filter({ hasText: 'image pull failed' });
      await trouble.filter({ hasText: MARKUP }).waitFor();
      const fault = ill.getByRole('listitem').filter({ hasText: 'SlimFaas/Configuration: ' });
      await fault.filter({ hasText: '<img' }).waitFor();
      assert.equal(await page.locator('img').count(), 0);
      t.kube.delete('Deployment', 'default', 'ill');
      assert.equal(await page.getByRole('status').textContent(), 'Live');
      t.kube.delete('Deployment', 'default', 'fib');
      await page.getByText('No function yet.').waitFor();
      assert.deepEqual(faults, []);
      assert.equal(await page.title(), 'slimfaas');
    } finally {
      await browser.close();
    }
  },
);

/** Rules of WCAG 2.2 A and AA, and what the authors of axe call best practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

test(
  'the page breaks no rule of accessibility and is no wider than a phone, by day and by night',
  { skip: !existsSync(CHROMIUM) && 'no chromium on this machine' },
  async () => {
    await using t = await startTestProxy();
    t.addFunction('a-function-with-a-rather-long-name', { 'SlimFaas/ReplicasMin': 'many' });
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
    try {
      for (const colorScheme of ['light', 'dark'] as const)
        for (const width of [1_280, 390]) {
          const context = await browser.newContext({
            viewport: { width, height: 844 },
            isMobile: width < 400,
            colorScheme,
            bypassCSP: true,
          });
          const page = await context.newPage();
          await page.goto(t.url);
          await page.getByRole('row', { name: /rather-long-name/ }).waitFor();
          await page.evaluate(AXE);
          const broken = await page.evaluate(
            `axe.run(document, { runOnly: ${JSON.stringify(RULES)} }).then(({ violations }) =>
              violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`,
          );
          assert.deepEqual(broken, [], `${colorScheme} ${width}`);
          assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
          await context.close();
        }
    } finally {
      await browser.close();
    }
  },
);
