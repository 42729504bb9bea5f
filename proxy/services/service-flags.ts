/** Flags about Services that wake their functions. */
import { servicesFlags } from '../../common/function/services-flags.ts';
import type { FlagTable } from '../../common/runtime/flags.ts';

export const serviceFlags = {
  ...servicesFlags,
  'services-connections': {
    type: 'int',
    default: 4_000,
    min: 1,
    group: 'Services',
    describe:
      'connections by Services of sleeping functions, waiting or open; further ones are closed at once',
  },
  'services-lame-duck': {
    type: 'number',
    default: 10,
    min: 0,
    max: 600,
    group: 'Services',
    describe:
      'stands in for --lame-duck, if it is longer, while Services of functions lead to ports of this proxy',
  },
} as const satisfies FlagTable;
