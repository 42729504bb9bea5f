/** The flag for functions that do not say whether their Services wake them; webhook, proxy and scaler get the same value. */
import type { AnnotationDefaults } from './annotations/index.ts';
import type { FlagTable } from '../runtime/flags.ts';

export const servicesFlags = {
  'services-default': {
    type: 'string',
    default: 'ignore',
    choices: ['ignore', 'wake'],
    group: 'Services',
    describe: 'what holds for functions without slimfaas.dev/services',
  },
} as const satisfies FlagTable;

export function annotationDefaults(config: { readonly 'services-default': string }): AnnotationDefaults {
  return { services: config['services-default'] === 'wake' ? 'wake' : 'ignore' };
}
