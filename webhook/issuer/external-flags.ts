/** Flags of a NATS that is not ours; external-nats.ts has what is in the folders. */
import type { FlagTable } from '../../common/runtime/flags.ts';

export const externalNatsFlags = {
  'nats-signing-key': {
    type: 'string',
    default: '',
    group: 'External NATS',
    describe:
      'folder with account and signer.nk, of the account in which pods get users; functions-account and functions-signer.nk for one that sidecars have alone. Empty: none',
  },
  'nats-credentials': {
    type: 'string',
    default: '',
    group: 'External NATS',
    describe:
      'folder with what each role shows to NATS: ROLE.creds, ROLE.token, or ROLE.user and ROLE.password, for proxy, scaler and sidecar. Empty: none',
  },
  'nats-ca-file': {
    type: 'string',
    default: '',
    group: 'External NATS',
    describe: 'CA certificates by which that NATS is known, PEM; empty: those that the system knows',
  },
} as const satisfies FlagTable;
