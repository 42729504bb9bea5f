/** `slimfaas.dev/hosts`: a comma list of `host[/prefix]`. */
import { isHostPattern } from '../hosts.ts';
import type { HostRule } from '../spec.ts';
import { MAX_HOSTS } from './bounds.ts';
import { ANNOTATION } from './names.ts';
import type { AnnotationSource } from './source.ts';
import { commaItems } from './values.ts';

const ALLOWED = 'allowed: shop.example.com, *.example.com, or one with a path such as shop.example.com/api';

export function readHosts(source: AnnotationSource): readonly HostRule[] {
  const found = source.find(ANNOTATION.hosts);
  if (!found) return [];
  const rules = new Map<string, HostRule>();
  for (const item of commaItems(found.text)) {
    const rule = readHost(item);
    if (rule) rules.set(rule.host + rule.prefix, rule);
    else found.report(item, `not allowed; ${ALLOWED}`, 'ignored');
  }
  const all = [...rules.values()];
  if (all.length <= MAX_HOSTS) return all;
  found.report('', `${all.length} hosts; allowed: at most ${MAX_HOSTS}`, `the first ${MAX_HOSTS}`);
  return all.slice(0, MAX_HOSTS);
}

function readHost(item: string): HostRule | undefined {
  const slash = item.indexOf('/');
  const host = (slash < 0 ? item : item.slice(0, slash)).toLowerCase();
  const path = slash < 0 ? '/' : item.slice(slash).replace(/(?<=.)\/+$/, '');
  // Compared as it is written, so what can be written in two ways is no prefix.
  const isPlain = path === '/' || /^(\/(?!\.{1,2}(\/|$))[\w.~!$&'()*+;=:@-]+)+$/.test(path);
  return isHostPattern(host) && isPlain ? { host, prefix: path } : undefined;
}
