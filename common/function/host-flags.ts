/** The flag by which an operator lets functions claim hosts; proxy and scaler get the same value. */
import type { FlagTable } from '../runtime/flags.ts';

export const hostFlags = {
  'function-hosts': {
    type: 'list',
    default: [],
    group: 'Cluster',
    describe:
      'hosts that functions may claim by slimfaas.dev/hosts, separated by commas: shop.example.com, *.example.com or *, each for one namespace alone as team=*.example.com; empty: none',
  },
} as const satisfies FlagTable;
