/** `GET /`: the status page, three small files kept in memory. */
import { readFileSync } from 'node:fs';
import type Router from 'koa-router';
import { PAGE_FOLDER } from './page-folder.ts';

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'status.js': 'text/javascript; charset=utf-8',
  'status.css': 'text/css; charset=utf-8',
} as const;

/** Nothing from elsewhere may run in a page that shows names chosen by others. */
const POLICY =
  "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

export function addPageRoutes(router: Router): void {
  for (const [file, type] of Object.entries(TYPES)) {
    const text = readFileSync(new URL(file, PAGE_FOLDER), 'utf8');
    router.get(file === 'index.html' ? '/' : `/status-page/${file}`, (ctx) => {
      ctx.body = text;
      ctx.set({
        'Content-Type': type,
        'Content-Security-Policy': POLICY,
        'X-Content-Type-Options': 'nosniff',
        'Cache-Control': 'no-cache',
      });
    });
  }
}
