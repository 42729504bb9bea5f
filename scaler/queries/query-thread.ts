/**
 * All that queries take time and memory for, in one place that runs in a thread of its own (query-worker.ts): the
 * series, the scraping, the evaluation. Nothing here is known to the thread that leads but what is posted.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { METRIC_NAME, type Labels } from '../promql/labels.ts';
import { createSeriesStore, PromqlError, type SeriesStore } from '../promql/query.ts';
import { SERIES_LIMITS } from '../promql/limits.ts';
import { createRemotePrometheus, type RemotePrometheus } from '../promql/remote.ts';
import { bothStores, AdHocQueries } from './ad-hoc-queries.ts';
import { RemoteRules } from './query-remote-rules.ts';
import { QueryRules } from './query-rules.ts';
import {
  QUESTION_AT_WORK,
  type FromQueryThread,
  type OwnSamples,
  type QueryThreadData,
  type SourceLines,
  type ToQueryThread,
  type Wants,
} from './query-messages.ts';
import { Reach } from '../sources/reach.ts';
import { openSource } from '../sources/open-source.ts';
import { SourceNames } from '../sources/source-names.ts';
import { SourcePollers } from '../sources/pollers.ts';
import { SourceSeries } from '../sources/source-series.ts';
import { viewOfError } from './query-error.ts';
import { valueView } from './query-view.ts';
import { Scraper, type ScrapedInto } from '../scrape/scraper.ts';
import { wantsSidecars, type ScrapeTarget } from '../scrape/scrape-targets.ts';

/** The scaler's own samples are a target of their own. */
const OWN_TARGET = 'scaler';

type Scrape = Extract<ToQueryThread, { kind: 'scrape' }>;
type Ask = Extract<ToQueryThread, { kind: 'ask' }>;

export class QueryThread {
  readonly #data: QueryThreadData;
  readonly #post: (message: FromQueryThread) => void;
  readonly #now = (): number => Date.now();
  readonly #atWork: Int32Array;
  readonly #store: SeriesStore;
  readonly #all: ScrapedInto;
  readonly #scraper: Scraper;
  readonly #rules: QueryRules;
  readonly #remoteRules: RemoteRules | undefined;
  readonly #adHoc: AdHocQueries;
  readonly #names = new SourceNames();
  readonly #sources: SourcePollers;
  #owners: { text: string; labels: readonly (readonly [string, string])[] } = { text: '', labels: [] };
  #wants = '';
  /** Who waits for a round that takes account of what they want. */
  #waiting: { readonly requested: number; readonly resolve: () => void }[] = [];
  #requested = 0;
  #isScraping = false;
  #next: Scrape | undefined;

  constructor(data: QueryThreadData, post: (message: FromQueryThread) => void) {
    const now = this.#now;
    this.#data = data;
    this.#post = post;
    this.#atWork = new Int32Array(data.atWork);
    const remote = remoteOf(data);
    this.#store = createSeriesStore(data.series);
    this.#adHoc = new AdHocQueries({ store: this.#store, remote, now, scrape: () => this.#scrapeAnew() });
    this.#all = bothStores(this.#store, this.#adHoc.adHocSeries);
    this.#scraper = new Scraper({ store: this.#all, now });
    this.#remoteRules = remote && new RemoteRules({ remote, now });
    this.#rules = new QueryRules({
      store: this.#store,
      retentionMs: data.series.retentionMs ?? SERIES_LIMITS.retentionMs,
      clock: () => performance.now(),
      budgets: data.budgets,
      leaderGauges: data.leaderGauges,
      scrapeFaultOf: (key) => this.#scraper.faultOf(key)?.text,
      onAtWork: (id) => this.#setAtWork(id),
    });
    const reach = new Reach({ allow: data.sourceAllow, resolve: this.#names.resolve });
    const onAtWork = (id: number): void => this.#setAtWork(id);
    const series = new SourceSeries({ limits: data.series, budgetMs: data.budgets.functionMs, onAtWork });
    this.#sources = new SourcePollers({
      open: (rule) => openSource(rule, { reach, series, now }),
      onAnswer: (answer) => this.#post({ kind: 'source', answer }),
      now,
    });
    this.#alive(false);
  }

  on(message: ToQueryThread): void {
    switch (message.kind) {
      case 'rules':
        (this.#remoteRules ?? this.#rules).change(message.set, message.gone);
        return this.#tellWants();
      case 'sources':
        return this.#sources.change(message.set, message.gone);
      case 'scrape':
        return this.#scrape(message);
      case 'tick':
        this.#tellWants();
        return this.#alive(message.evaluates);
      case 'ask':
        return void this.#ask(message);
    }
  }

  #setAtWork(id: number): void {
    Atomics.store(this.#atWork, 0, id);
  }

  #alive(evaluates: boolean): void {
    const answers = evaluates ? (this.#remoteRules ?? this.#rules).evaluate(this.#now()) : [];
    const stats = { ...this.#store.stats, refused: this.#scraper.refused, sources: this.#sourceLines() };
    this.#post({ kind: 'alive', answers, stats });
  }

  #sourceLines(): SourceLines {
    const { running, inLine } = this.#sources.polls;
    return { polls: running, pollsInLine: inLine, namesInLine: this.#names.inLine };
  }

  #tellWants(): void {
    const questions = this.#adHoc.texts();
    const wants: Wants = {
      gauges: this.#data.gauges.filter((name) => this.#all.wantsName(name)),
      sidecars: wantsSidecars([...this.#rules.texts(), ...questions]),
      questions: questions.length > 0,
    };
    const text = JSON.stringify([wants, this.#requested]);
    if (text === this.#wants) return;
    this.#wants = text;
    this.#post({ kind: 'wants', wants, requested: this.#requested });
  }

  #scrapeAnew(): Promise<void> {
    this.#requested += 1;
    const requested = this.#requested;
    return new Promise((resolve) => {
      this.#waiting.push({ requested, resolve });
      this.#tellWants();
    });
  }

  #scrape(message: Scrape): void {
    if (this.#isScraping) this.#next = message;
    else void this.#round(message);
  }

  async #round({ targets, own, everyMs, isLeader, requested }: Scrape): Promise<void> {
    const begunMs = this.#now();
    this.#isScraping = true;
    this.#rules.roundBegun();
    this.#takeOwn(own);
    await this.#scraper.scrape(JSON.parse(targets) as ScrapeTarget[]);
    this.#rules.roundDone({ begunMs, everyMs, isLeader });
    for (const one of this.#waiting) if (one.requested <= requested) one.resolve();
    this.#waiting = this.#waiting.filter((one) => one.requested > requested);
    this.#isScraping = false;
    const next = this.#next;
    this.#next = undefined;
    if (next) void this.#round(next);
  }

  #takeOwn({ gauges, functions, values }: OwnSamples): void {
    if (functions !== this.#owners.text) {
      const labels = functions === '' ? [] : functions.split('\n').map((line) => line.split('/', 2));
      this.#owners = { text: functions, labels: labels as [string, string][] };
    }
    const intake = this.#all.begin(OWN_TARGET, this.#now());
    const { labels } = this.#owners;
    for (const [g, gauge] of gauges.entries()) {
      for (const [f, [namespace, name]] of labels.entries())
        intake.add(ownLabels(gauge, namespace, name), values[g * labels.length + f] ?? Number.NaN);
    }
    intake.end();
  }

  async #ask({ id, text, scope, atMs }: Ask): Promise<void> {
    try {
      const value = await this.#adHoc.ask({ text, scope, atMs }, (isAtWork) =>
        this.#setAtWork(isAtWork ? QUESTION_AT_WORK : 0),
      );
      this.#post({
        kind: 'answer',
        id,
        status: 200,
        json: JSON.stringify({ query: text, ...valueView(value) }),
      });
    } catch (error) {
      const known = error instanceof PromqlError ? error : new PromqlError('execution', describeError(error));
      const { status, body } = viewOfError(known);
      this.#post({ kind: 'answer', id, status, json: JSON.stringify(body) });
    }
  }
}

function remoteOf({ prometheusUrl }: QueryThreadData): RemotePrometheus | undefined {
  return prometheusUrl === '' ? undefined : createRemotePrometheus({ url: prometheusUrl });
}

function ownLabels(gauge: string, namespace: string, name: string): Labels {
  return new Map([
    [METRIC_NAME, gauge],
    ['namespace', namespace],
    ['function', name],
  ]);
}
