/** The status page in a real browser; skipped where there is none. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
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
