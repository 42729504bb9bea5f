/** The manifests of docs/guides are taken as they are written, by the product's own parser and by the webhook's rules. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { injectManifests } from '../cli/inject/inject-manifests.ts';
import { OPTIONS } from './webhook/reviews.ts';

const folder = fileURLToPath(new URL('../docs/guides/', import.meta.url));

for (const name of readdirSync(folder)) {
  test(`docs/guides/${name} has a manifest without faults or warnings, and the commands for it`, () => {
    const page = readFileSync(join(folder, name), 'utf8');
    const manifests = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
    assert.ok(manifests.length > 0, 'a manifest');
    for (const manifest of manifests) {
      const report = injectManifests(name, manifest, OPTIONS);
      assert.deepEqual(report.findings, []);
      assert.equal(report.functions, report.injected);
      assert.ok(report.functions > 0);
    }
    assert.match(page, /^ {4}(?:slimfaas|kubectl) /m, 'a command');
  });
}
