/** How full what jobs and results are stored in is. */

/** Jobs with their bodies, and bodies that are too large for that. */
export type StoreKind = 'inline' | 'stored';

export interface StoreRoom extends Readonly<
  Record<StoreKind, { readonly bytes: number; readonly maxBytes: number } | undefined>
> {
  /** By `namespace/name`; a function without jobs is not listed. */
  readonly jobs: ReadonlyMap<string, number>;
}

/** How full the store of results on their way to URLs is. */
export interface CallbackRoom {
  readonly all: { readonly results: number; readonly bytes: number };
  /** Undefined: without a bound. */
  readonly bounds: { readonly results: number | undefined; readonly bytes: number | undefined };
  /** By `namespace/name`; a function without results is not listed. */
  readonly results: ReadonlyMap<string, number>;
}
