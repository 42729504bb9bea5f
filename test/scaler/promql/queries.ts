/** Random PromQL over the series of `promql-prometheus.test.ts`: well typed, so that most of it has an answer. */
import fc from 'fast-check';

const words = (text: string) => fc.constantFrom(...text.split(' '));
const choice = (...texts: string[]) => fc.constantFrom(...texts);

const number = choice('0', '1', '2', '0.5', '-1', '3', '10', '-2', 'time()', 'scalar(cost{zone="1"})');
/** Written with semicolons between, since queries have spaces and commas. */
const list = (text: string) => fc.constantFrom(...text.split(';').map((item) => item.trim()));

const selector = list(
  `c_total; g; n; h_bucket; cost; nothing; g{pod="a"}; g{pod!="a"}; g{zone=~"1|3"}; c_total{pod!~"a|b"};
   g{zone=""}; n{zone=""}; g offset 30s; g offset 2m; g @ 1700000400; {__name__=~"g|n"}`,
);
const rangeFunction = words(
  'rate increase irate delta idelta max_over_time min_over_time avg_over_time sum_over_time count_over_time stddev_over_time stdvar_over_time last_over_time present_over_time changes resets deriv absent_over_time',
);
const mapFunction = words('abs ceil floor sgn ln sqrt exp absent timestamp log10 sin deg');
const grouping = choice('', 'by (pod)', 'by (zone)', 'without (pod)', 'without (le)', 'by (le)');
const buckets = choice(
  'h_bucket',
  'rate(h_bucket[1m])',
  'sum by (le) (rate(h_bucket[2m]))',
  'sum by (le, pod) (increase(h_bucket[5m]))',
);
const matching = list(
  `+; -; *; /; %; ^; <; ==; > bool; >= on(pod); != ignoring(le); and; or; unless; and on(pod); or on(zone);
   * on(zone) group_left; * on(zone) group_left(tier); - on(zone) group_right`,
);
const withNumber = words('+ - * / % ^ > != <');

const join = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((parts) => parts.join(' '));
const call = (name: fc.Arbitrary<string>, ...args: fc.Arbitrary<string>[]) =>
  fc.tuple(name, fc.tuple(...args)).map(([f, args]) => `${f}(${args.join(', ')})`);

export const anyQuery = fc.letrec<{ v: string; m: string }>((tie) => {
  const v = tie('v');
  return {
    v: fc.oneof(
      { depthSize: 'small' },
      selector,
      call(rangeFunction, tie('m')),
      call(choice('quantile_over_time'), number, tie('m')),
      call(choice('predict_linear'), tie('m'), number),
      fc.tuple(words('sum avg max min count group'), grouping, v).map(([f, by, x]) => `${f} ${by} (${x})`),
      fc.tuple(grouping, number, v).map(([by, q, x]) => `quantile ${by} (${q}, ${x})`),
      call(mapFunction, v),
      call(words('clamp_min clamp_max round'), v, number),
      call(choice('histogram_quantile'), words('0.1 0.5 0.9 0.99 0 1'), buckets),
      join(v, matching, v),
      join(v, withNumber, number),
      join(number, withNumber, v),
      v.map((x) => `-${x}`),
      v.map((x) => `label_replace(${x}, "k", "x$\{1}y$$", "pod", "(.).*")`),
      v.map((x) => `label_join(${x}, "k", "-", "pod", "zone")`),
    ),
    m: fc.oneof(
      fc
        .tuple(
          words('c_total g h_bucket n cost nothing'),
          words('1m 45s 2m 30s 5m 20s 90s'),
          choice('', ' offset 30s'),
        )
        .map(([name, range, offset]) => `${name}[${range}]${offset}`),
      // Only a selector inside: nested steps would lie on edges, which Prometheus 2 counts in and 3 does not.
      fc
        .tuple(selector, words('1m 45s 2m'), words('15s 30s 10s'))
        .map(([x, range, step]) => `(${x})[${range}:${step}]`),
    ),
  };
}).v;
