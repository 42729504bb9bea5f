/** The page of {@link WaitingPages}: the built-in one, or an operator's own file. */
import { readFileSync } from 'node:fs';
import { describeError, UsageError } from '../../common/runtime/errors.ts';

const MAX_BYTES = 256 * 1024;

const BUILT_IN = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="1">
<title>{{function}} is starting</title>
<style>
:root { color-scheme: light dark; --text: #1c2530; --quiet: #5b6673; --page: #f7f8fa; --bar: #2f6fdb; --track: #dde3ea; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8ecf1; --quiet: #9aa6b2; --page: #14181d; --bar: #6ea0f5; --track: #2a323b; }
}
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 26rem; padding: 2rem; text-align: center; }
h1 { font-size: 1.25rem; font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: 0; color: var(--quiet); }
div { height: 4px; margin: 1.5rem 0; border-radius: 2px; background: var(--track); overflow: hidden; }
div::before { content: ""; display: block; width: 40%; height: 100%; border-radius: 2px; background: var(--bar);
  animation: move 1.6s ease-in-out infinite alternate; }
@keyframes move { from { transform: translateX(-40%); } to { transform: translateX(190%); } }
@media (prefers-reduced-motion: reduce) { div::before { animation: none; width: 100%; } }
</style>
</head>
<body>
<main role="status">
<h1>{{function}} is starting</h1>
<div aria-hidden="true"></div>
<p>{{progress}}</p>
<p>This page opens it as soon as it is ready.</p>
</main>
</body>
</html>
`;

/**
 * @param file of the operator; empty: the built-in page
 * @throws UsageError for a file that cannot be read, is too large, or does not ask again by itself
 */
export function waitingPageTemplate(file: string): string {
  if (file === '') return BUILT_IN;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new UsageError(`--waiting-page-file: ${file} cannot be read: ${describeError(cause)}`, { cause });
  }
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw new UsageError(`--waiting-page-file: ${file} is larger than ${MAX_BYTES} bytes`);
  if (!/http-equiv\s*=\s*["']?refresh/i.test(text))
    throw new UsageError(
      `--waiting-page-file: ${file} does not ask again by itself; it needs <meta http-equiv="refresh" content="1">`,
    );
  return text;
}
