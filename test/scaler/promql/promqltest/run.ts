/** Runs such a script against this evaluator, and says of each evaluation how it went. */
import { labelsKey, labelsOf, type Labels } from '../../../../scaler/promql/labels.ts';
import { createMatcher, matchesAll } from '../../../../scaler/promql/matcher.ts';
import {
  compileQuery,
  createSeriesStore,
  PromqlError,
  runQuery,
  type SeriesStore,
  type Value,
} from '../../../../scaler/promql/query.ts';
import { STALE } from '../../../../scaler/promql/store/samples.ts';
import { readScript, type Command, type Eval, type Point } from './script.ts';

export interface Outcome {
  readonly line: number;
  readonly query: string;
  /** `refused`: an error that says what is not supported. `left out`: about native histograms. */
  readonly result: 'agrees' | 'refused' | 'left out' | 'differs';
  readonly why: string;
}

export function runScript(source: string): Outcome[] {
  const outcomes: Outcome[] = [];
  let world = new World();
  for (const command of readScript(source)) {
    if (command.kind === 'clear') world = new World();
    else if (command.kind === 'load') world.load(command);
    else outcomes.push(world.check(command));
  }
  return outcomes;
}

class World {
  readonly #store: SeriesStore;
  /** Series that are native histograms. */
  readonly #histograms: Labels[] = [];

  constructor() {
    const most = Number.MAX_SAFE_INTEGER;
    this.#store = createSeriesStore({
      retentionMs: 1e15,
      maxSeries: most,
      maxSamples: most,
      maxSeriesOfKeeper: most,
    });
    this.#store.setWanted([[createMatcher('__name__', '=~', '.*')]]);
  }

  load({ stepMs, series, isNative }: Extract<Command, { kind: 'load' }>): void {
    for (const { labels, points } of series) {
      // Loaded a second time as a native histogram, under the name without the ending.
      const name = labels.get('__name__') ?? '';
      if (isNative)
        this.#histograms.push(new Map([...labels, ['__name__', name.replace(/_(bucket|count|sum)$/, '')]]));
      for (const [i, point] of points.entries()) {
        if (point === 'histogram') this.#histograms.push(labels);
        else if (point !== undefined)
          this.#store.append(labels, point === 'stale' ? STALE : point, i * stepMs);
      }
    }
  }

  check(test: Eval): Outcome {
    const done = (result: Outcome['result'], why = ''): Outcome => ({
      line: test.line,
      query: test.query,
      result,
      why,
    });
    if (this.#isAboutHistograms(test)) return done('left out', 'native histograms');
    if (test.isRange && /\b(start|end)\(\)/.test(test.query))
      return done('left out', 'triggers have no range queries');
    try {
      const problem = test.isRange ? this.#checkRange(test) : this.#checkInstant(test);
      if (test.fails) return done('differs', 'an error was expected');
      return problem === undefined ? done('agrees') : done('differs', problem);
    } catch (error) {
      if (!(error instanceof PromqlError)) throw error;
      if (test.fails) return done('agrees');
      return done(error.code === 'unsupported' ? 'refused' : 'differs', error.message);
    }
  }

  #isAboutHistograms({ query, series }: Eval): boolean {
    if (series.some(({ points }) => points.includes('histogram'))) return true;
    try {
      const { selectors } = compileQuery(query);
      return selectors.some((matchers) => this.#histograms.some((labels) => matchesAll(matchers, labels)));
    } catch {
      return false;
    }
  }

  #checkInstant(test: Eval): string | undefined {
    const [atMs = 0] = test.timesMs;
    const value = runQuery(compileQuery(test.query), this.#store, atMs);
    if (test.text !== undefined)
      return value.type === 'string' && value.value === test.text ? undefined : `not ${test.text}`;
    if (test.scalar !== 'none') {
      if (value.type !== 'scalar') return `a ${value.type}, not a scalar`;
      return isSame(value.value, test.scalar) ? undefined : `${value.value}, not ${test.scalar}`;
    }
    if (value.type === 'scalar')
      return isSame(value.value, test.series[0]?.points[0]) ? undefined : `${value.value}`;
    if (value.type === 'vector') return compare(pointsAt([value], [atMs]), expectedOf(test));
    if (value.type !== 'matrix') return `a ${value.type}`;
    return compare(
      new Map(value.matrix.series.map(({ labels, values }) => [labelsKey(labels), [...values]])),
      expectedOf(test),
    );
  }

  #checkRange(test: Eval): string | undefined {
    const query = compileQuery(test.query);
    const values = test.timesMs.map((atMs) => runQuery(query, this.#store, atMs));
    return compare(pointsAt(values, test.timesMs), expectedOf(test));
  }
}

function expectedOf({ series, isMatrix, timesMs }: Eval): Map<string, Point[]> {
  const points = (all: readonly Point[]): Point[] =>
    isMatrix ? all.filter((point) => point !== undefined) : all.slice(0, timesMs.length);
  return new Map(series.map(({ labels, points: all }) => [labelsKey(withoutEmpty(labels)), points(all)]));
}

function withoutEmpty(labels: Labels): Labels {
  return labelsOf(Object.fromEntries(labels));
}

/** Series by their labels, with one point a moment. */
function pointsAt(values: readonly Value[], timesMs: readonly number[]): Map<string, Point[]> {
  const found = new Map<string, Point[]>();
  for (const [i, value] of values.entries()) {
    const samples =
      value.type === 'scalar'
        ? [{ labels: labelsOf({}), value: value.value }]
        : value.type === 'vector'
          ? value.samples
          : [];
    for (const { labels, value: number } of samples) {
      const key = labelsKey(labels);
      const points = found.get(key) ?? timesMs.map(() => undefined);
      points[i] = number;
      found.set(key, points);
    }
  }
  return found;
}

function compare(found: Map<string, Point[]>, expected: Map<string, Point[]>): string | undefined {
  const show = (all: Map<string, Point[]>): string =>
    [...all].map(([key, points]) => `${key} ${points.map((point) => point ?? '_').join(' ')}`).join('; ') ||
    'nothing';
  const isEqual =
    found.size === expected.size &&
    [...expected].every(([key, points]) => {
      const other = found.get(key);
      return (
        other !== undefined &&
        Array.from({ length: Math.max(points.length, other.length) }).every((_, i) =>
          isSame(other[i], points[i]),
        )
      );
    });
  return isEqual ? undefined : `${show(found)} | expected ${show(expected)}`;
}

/** As Prometheus's tests have it: equal within a millionth. */
function isSame(a: Point, b: Point): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b;
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b);
  return a === b || Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b));
}
