/**
 * The triggers that need no query: what the system measures by itself. One table, for the annotation that names them
 * and for the scaler that asks for their value.
 */

/** What the parts report about one function without any query, summed over its pods. `undefined`: not known. */
export interface BuiltInLoad {
  /** Calls and jobs running, plus calls waiting for a place (they would run if they could). */
  readonly concurrency: number | undefined;
  /** Calls started per second. */
  readonly rps: number | undefined;
  /** Jobs that are ready in JetStream and that no pod has taken. */
  readonly queue: number | undefined;
  /** Jobs accepted per second. */
  readonly messageRate: number | undefined;
}

export type BuiltInTrigger = (load: BuiltInLoad) => number | undefined;

/** By `MetricName`. */
export const BUILT_IN_TRIGGERS = {
  concurrency: ({ concurrency }) => concurrency,
  rps: ({ rps }) => rps,
  queue: ({ queue }) => queue,
  'message-rate': ({ messageRate }) => messageRate,
} as const satisfies Readonly<Record<string, BuiltInTrigger>>;

/** Measured here: neither by a query nor by a source. */
export function isBuiltIn({ query, source }: { readonly query: string; readonly source?: string }): boolean {
  return query === '' && source === undefined;
}

export const BUILT_IN_NAMES: readonly string[] = Object.keys(BUILT_IN_TRIGGERS);

/** The one whose measuring costs a question to JetStream: asked only where a trigger names it. */
export const MESSAGE_RATE: keyof typeof BUILT_IN_TRIGGERS = 'message-rate';
