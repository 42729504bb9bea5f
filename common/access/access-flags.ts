/** Flags about operator routes, for the scaler and the proxy. */
import type { FlagTable, FlagValues } from '../runtime/flags.ts';

export const accessFlags = {
  'operator-auth': {
    type: 'string',
    default: 'kubernetes',
    choices: ['kubernetes', 'token', 'off'],
    group: 'Access',
    describe:
      'what operator routes ask for: kubernetes is a token that Kubernetes reviews, token the one of --operator-token-file, off nothing',
  },
  'operator-token-file': {
    type: 'string',
    default: '',
    group: 'Access',
    describe: 'file with the token of --operator-auth token; read again when it changes',
  },
  'open-metrics': {
    type: 'boolean',
    default: false,
    group: 'Access',
    describe:
      'show the series of functions to those without a token too, on the port that is not for callers',
  },
} as const satisfies FlagTable;

/** The token that this part shows to others. */
export const ownTokenFlag = {
  'peer-token-file': {
    type: 'string',
    default: '',
    group: 'Access',
    describe:
      'file with a token of the audience slimfaas, by which other parts know this one; empty: none is shown',
  },
} as const satisfies FlagTable;

export type AccessConfig = FlagValues<typeof accessFlags>;
