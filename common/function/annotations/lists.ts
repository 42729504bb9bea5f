/** The annotations that are lists: dependencies, events, paths. A list beyond its bound is a fault. */
import { MAX_ITEMS, MAX_PATH_RULES } from './bounds.ts';
import type { ReportFault } from './faults.ts';
import { ANNOTATION } from './names.ts';
import type { AnnotationSource } from './source.ts';
import { commaItems, isEventName, isWorkloadName, listItems, visibleItem } from './values.ts';
import { canonicalPrefix } from '../canonical-path.ts';
import type { EventSubscription, PathRule, Visibility } from '../spec.ts';

export function readDependsOn(source: AnnotationSource): readonly string[] {
  const found = source.find(ANNOTATION.dependsOn);
  if (!found) return [];
  const names = listItems(found.text);
  if (!names) {
    found.report(found.text, 'not allowed; allowed: a comma list or a JSON array of names', 'none');
    return [];
  }
  for (const name of names.filter((name) => !isWorkloadName(name))) {
    found.report(name, 'not allowed; allowed: names of workloads (a-z, 0-9, "-", ".")', 'ignored');
  }
  return firstOf([...new Set(names.filter(isWorkloadName))], found.report);
}

/** One of another namespace that may depend on this workload. */
export interface DependentRule {
  /** `*`: any. */
  readonly namespace: string;
  /** `*`: any. */
  readonly name: string;
}

/** `team-a, team-b/orders, team-c/*`: a namespace alone means all of it. */
export function dependentRules(
  text: string,
  onBad: (item: string) => void = () => undefined,
): DependentRule[] {
  return commaItems(text)
    .slice(0, MAX_ITEMS)
    .flatMap((item) => {
      const [namespace = '', name = '*', ...more] = item.split('/');
      const isRule =
        more.length === 0 && [namespace, name].every((part) => part === '*' || isWorkloadName(part));
      if (!isRule) onBad(item);
      return isRule ? [{ namespace, name }] : [];
    });
}

/** What is read here is used from `WorkloadModel`, which plain workloads have too; this reports what is wrong with it. */
export function checkDependedOnBy(source: AnnotationSource): void {
  const found = source.find(ANNOTATION.dependedOnBy);
  if (!found) return;
  dependentRules(found.text, (item) =>
    found.report(item, 'not allowed; allowed: a namespace, namespace/name, namespace/* or *', 'ignored'),
  );
  firstOf(commaItems(found.text), found.report);
}

/** An event without a prefix has the function's own visibility, as in SlimFaas. */
export function readEvents(source: AnnotationSource, fallback: Visibility): readonly EventSubscription[] {
  const items = readVisible(source, [ANNOTATION.subscribeEvents], fallback);
  const problem = 'not allowed; allowed: event names without "/" and white space';
  for (const { text } of items.filter(({ text }) => !isEventName(text))) {
    source.list.of(ANNOTATION.subscribeEvents)(text, problem, 'ignored');
  }
  const events = items
    .filter(({ text }) => isEventName(text))
    .map(({ visibility, text }) => ({ visibility, event: text }));
  return firstOf(events, source.list.of(ANNOTATION.subscribeEvents));
}

function firstOf<T>(items: readonly T[], report: ReportFault): readonly T[] {
  if (items.length <= MAX_ITEMS) return items;
  report('', `${items.length} items; allowed: at most ${MAX_ITEMS}`, `the first ${MAX_ITEMS}`);
  return items.slice(0, MAX_ITEMS);
}

/** What is meant to be closed must not open because its rules are too many to be read. */
const ALL_PRIVATE: readonly PathRule[] = [{ visibility: 'Private', prefix: '/' }];

/**
 * A path without a prefix is Public: with DefaultVisibility Private that is how a path is opened. Paths of requests
 * are compared without their query: a Private rule with one closes the path, a Public one opens nothing.
 */
export function readPaths(source: AnnotationSource): readonly PathRule[] {
  const names = [ANNOTATION.pathVisibility, ANNOTATION.pathVisibilityAlias];
  const written = readVisible(source, names, 'Public');
  if (source.isRefused(...names)) return ALL_PRIVATE;
  const found = source.find(...names);
  if (written.length > MAX_PATH_RULES) {
    const problem = `${written.length} rules; allowed: at most ${MAX_PATH_RULES}`;
    found?.report('', problem, 'every path is Private');
    return ALL_PRIVATE;
  }
  const report = (rule: PathRule, text: string, allowed: string, inForce: string): PathRule => {
    found?.report(text, `not allowed; allowed: ${allowed}`, inForce);
    return rule;
  };
  return written.flatMap(({ visibility, text }) => {
    const [path = ''] = text.split(/[?#]/, 1);
    const rule = { visibility, prefix: canonicalPrefix(path) };
    if (!path.startsWith('/') && path === text)
      return report(rule, text, 'a path that starts with "/"', rule.prefix);
    if (path === text) return rule;
    const isKept = visibility === 'Private';
    report(rule, text, 'a path without "?" and "#"', isKept ? `Private:${rule.prefix}` : 'ignored');
    return isKept ? rule : [];
  });
}

function readVisible(source: AnnotationSource, names: readonly string[], fallback: Visibility) {
  const found = source.find(...names);
  if (!found) return [];
  const read = commaItems(found.text).map((item) => visibleItem(item, fallback));
  for (const { unknownPrefix, text } of read) {
    if (unknownPrefix === undefined) continue;
    const problem = `prefix ${unknownPrefix}: is not allowed; allowed: Public: or Private:`;
    found.report(`${unknownPrefix}:${text}`, problem, `Private:${text}`);
  }
  return read.filter(({ text }) => text !== '');
}
