/**
 * `SlimFaas/Scale`: triggers and behaviour. Defaults are SlimFaas's, which are the HorizontalPodAutoscaler's. Up goes
 * at once by 100 % or 4 pods per 15 s, whichever is more. Down goes after 300 s, then as far as needed.
 */
import { BUILT_IN_NAMES, isBuiltIn } from '../../built-in-triggers.ts';
import {
  fields,
  flagOr,
  items,
  numberOr,
  parseJsonPart,
  reject,
  textOr,
  wordOr,
  type Fields,
  type JsonPart,
} from '../json.ts';
import type { ReportFault } from '../faults.ts';
import { unknownNames, QUERY_NAMES } from '../../query-names.ts';
import { MAX_INT } from '../values.ts';
import { hasQueries, OWN_TARGET, readInterval, readSources } from './sources.ts';
import type { ScaleDirection, ScalePolicy, ScaleSpec, ScaleTrigger, SourceSpec } from '../../spec.ts';

const DEFAULT_SCRAPE_INTERVAL_MS = 5_000;

export const DEFAULT_SCALE_UP: ScaleDirection = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Percent', value: 100, periodSeconds: 15 },
    { type: 'Pods', value: 4, periodSeconds: 15 },
  ],
};
export const DEFAULT_SCALE_DOWN: ScaleDirection = {
  stabilizationWindowSeconds: 300,
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
};

const TOP = [
  'ReplicaMax',
  'ScaleFromZero',
  'ScrapeIntervalMilliseconds',
  'Sources',
  'Triggers',
  'Behavior',
] as const;

export function readScale(text: string, report: ReportFault): ScaleSpec | undefined {
  const top = parseJsonPart(text, report, 'no scaling by metrics');
  if (top === undefined) return undefined;
  const f = fields(top, TOP, 'no scaling by metrics');
  const behavior = f.Behavior && fields(f.Behavior, ['ScaleUp', 'ScaleDown'], 'the defaults');
  const scrapeIntervalMs = readInterval(f.ScrapeIntervalMilliseconds, DEFAULT_SCRAPE_INTERVAL_MS);
  const sources = f.Sources ? readSources(f.Sources, scrapeIntervalMs) : [];
  const triggers = ((f.Triggers && items(f.Triggers, 'triggers', 'no triggers')) ?? [])
    .map((part) => readTrigger(part, sources))
    .filter((trigger) => trigger !== undefined);
  return {
    scaleFromZero: readFromZero(f.ScaleFromZero, triggers),
    replicaMax: numberOr(f.ReplicaMax, { min: 1, max: MAX_INT, isWhole: true }, undefined),
    scrapeIntervalMs,
    sources,
    triggers,
    scaleUp: readDirection(behavior?.ScaleUp, DEFAULT_SCALE_UP),
    scaleDown: readDirection(behavior?.ScaleDown, DEFAULT_SCALE_DOWN),
  };
}

/** What the built-in metrics count wakes a function by itself. */
function readFromZero(part: JsonPart | undefined, triggers: readonly ScaleTrigger[]): boolean {
  const isWanted = flagOr(part, false);
  if (part === undefined || !isWanted || !triggers.every(isBuiltIn)) return isWanted;
  reject(part, 'true beside a trigger with a Query or a Source', 'false');
  return false;
}

const TRIGGER = ['MetricType', 'MetricName', 'Query', 'Source', 'Threshold', 'ActivationThreshold'] as const;
type TriggerFields = Fields<(typeof TRIGGER)[number]>;

function readTrigger(part: JsonPart, sources: readonly SourceSpec[]): ScaleTrigger | undefined {
  const f = fields(part, TRIGGER, IGNORED);
  const name = textOr(f.Source, '');
  const source = sources.find((one) => one.name === name);
  if (f.Source && !source) {
    const names = sources.map((one) => one.name).join(', ') || 'none, for Sources has none that can be used';
    reject(f.Source, `the Name of one of Sources: ${names}`, IGNORED);
    return undefined;
  }
  const metricName = textOr(f.MetricName, '');
  const query = readQuery(part, f, source);
  const threshold = query === undefined ? undefined : readThreshold(part, f, source);
  if (query === undefined || threshold === undefined) return undefined;
  const metricType = wordOr(f.MetricType, ['AverageValue', 'Value'], 'AverageValue');
  const activationThreshold = readActivation(f.ActivationThreshold, { query, source });
  const asked = source && {
    source: name,
    hasOwnTarget: source.type === 'external' && f.Threshold === undefined,
  };
  return { metricType, metricName, query, threshold, activationThreshold, ...asked };
}

const IGNORED = 'trigger ignored';

/** What an external scaler wants per pod it may say itself. */
function readThreshold(part: JsonPart, f: TriggerFields, source: SourceSpec | undefined): number | undefined {
  if (f.Threshold === undefined && source?.type === 'external') return OWN_TARGET;
  const threshold = numberOr(f.Threshold, { min: 0, isAbove: true }, undefined, IGNORED);
  if (f.Threshold === undefined) reject(part, 'a Threshold > 0', IGNORED);
  return threshold;
}

/** @returns '' where none is needed; undefined, with a fault, for a trigger that cannot be used */
function readQuery(part: JsonPart, f: TriggerFields, source: SourceSpec | undefined): string | undefined {
  const query = textOr(f.Query, '');
  if (source && !hasQueries(source)) {
    if (f.Query && query !== '')
      reject(f.Query, `no Query, for its Source is of Type ${source.type}`, 'ignored');
    return '';
  }
  if (query === '' && source) {
    reject(part, `a Query, for its Source is of Type ${source.type}`, IGNORED);
    return undefined;
  }
  const metricName = textOr(f.MetricName, '');
  if (query === '' && !BUILT_IN_NAMES.includes(metricName)) {
    reject(part, `a Query, or a MetricName of ${BUILT_IN_NAMES.join(', ')}`, IGNORED);
    return undefined;
  }
  const unknown = unknownNames(query);
  if (unknown.length === 0 || !f.Query) return query;
  const names = QUERY_NAMES.map((name) => `\${${name}}`).join(', ');
  reject(f.Query, `of names in \${…} only ${names}, not ${unknown.join(', ')}`, IGNORED);
  return undefined;
}

/** Calls and jobs, which the built-in metrics count, keep a function up by themselves; an external scaler says it. */
function readActivation(
  part: JsonPart | undefined,
  { query, source }: { query: string; source: SourceSpec | undefined },
): number {
  const isOwn = query === '' && source === undefined;
  if (part !== undefined && (isOwn || source?.type === 'external')) {
    reject(part, `ActivationThreshold beside a Query${isOwn ? '' : ', not of an external scaler'}`, '0');
    return 0;
  }
  return numberOr(part, { min: 0 }, 0);
}

function readDirection(part: JsonPart | undefined, fallback: ScaleDirection): ScaleDirection {
  if (part === undefined) return fallback;
  const f = fields(part, ['StabilizationWindowSeconds', 'SelectPolicy', 'Policies'], 'the defaults');
  const policies = (f.Policies && items(f.Policies, '{Type, Value, PeriodSeconds}', 'the defaults')) ?? [];
  const read = policies.map(readPolicy).filter((policy) => policy !== undefined);
  return {
    // One hour is the HorizontalPodAutoscaler's own limit: longer is a mistake in the unit.
    stabilizationWindowSeconds: numberOr(
      f.StabilizationWindowSeconds,
      { min: 0, max: 3_600, isWhole: true },
      fallback.stabilizationWindowSeconds,
    ),
    selectPolicy: wordOr(f.SelectPolicy, ['Max', 'Min', 'Disabled'], fallback.selectPolicy),
    policies: read.length > 0 ? read : fallback.policies,
  };
}

/** SlimFaas's defaults of a policy's parts: Percent, 100, 15 s. A bad Value drops the policy: no guessing. */
function readPolicy(part: JsonPart): ScalePolicy | undefined {
  const f = fields(part, ['Type', 'Value', 'PeriodSeconds'], 'policy ignored');
  const value =
    f.Value === undefined
      ? 100
      : numberOr(f.Value, { min: 1, max: MAX_INT, isWhole: true }, undefined, 'policy ignored');
  if (value === undefined) return undefined;
  return {
    type: wordOr(f.Type, ['Percent', 'Pods'], 'Percent'),
    value,
    periodSeconds: numberOr(f.PeriodSeconds, { min: 1, max: 1_800, isWhole: true }, 15),
  };
}
