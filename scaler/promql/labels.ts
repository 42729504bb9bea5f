/** Label sets: maps, because a label may be called `__proto__`. An empty value is a label that is not there. */
export type Labels = ReadonlyMap<string, string>;

export const METRIC_NAME = '__name__';
export const NO_LABELS: Labels = new Map();

export function labelsOf(record: Readonly<Record<string, string>>): Labels {
  return new Map(Object.entries(record).filter(([, value]) => value !== ''));
}

/** The same text for the same set, whatever the order; quoted, so that no value can imitate another set. */
export function labelsKey(labels: Labels): string {
  return JSON.stringify([...labels].toSorted(([a], [b]) => (a < b ? -1 : Number(a > b))));
}

export function keepLabels(labels: Labels, names: readonly string[]): Labels {
  return new Map([...labels].filter(([name]) => names.includes(name)));
}

export function dropLabels(labels: Labels, names: readonly string[]): Labels {
  return new Map([...labels].filter(([name]) => !names.includes(name)));
}

const NAME_ONLY = [METRIC_NAME];

/** What arithmetic leaves of a label set: the name no longer says what the value is. */
export function dropName(labels: Labels): Labels {
  return labels.has(METRIC_NAME) ? dropLabels(labels, NAME_ONLY) : labels;
}

/** `http_requests_total{code="500"}`, for people. */
export function describeLabels(labels: Labels): string {
  const rest = [...labels]
    .filter(([name]) => name !== METRIC_NAME)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${labels.get(METRIC_NAME) ?? ''}{${rest.join(', ')}}`;
}
