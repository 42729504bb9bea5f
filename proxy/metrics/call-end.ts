/** How a call ended for its caller. `cancelled`: the caller left. */
export type CallEnd = { readonly kind: 'status'; readonly status: number } | { readonly kind: 'cancelled' };
