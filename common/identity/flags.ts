/** Flags of whoever shows who it is on the bus: proxy, scaler and sidecar. */
import type { FlagTable } from '../runtime/flags.ts';

const IDENTITY = 'Identity';

export const AUTH_MODES = ['off', 'permissive', 'required'] as const;

export const identityFlags = {
  auth: {
    type: 'string',
    default: 'off',
    choices: AUTH_MODES,
    group: IDENTITY,
    describe:
      'off: nobody shows who it is; permissive: we do, and go on where nobody asks; required: NATS must ask for it',
  },
  issuer: {
    type: 'string',
    default: 'https://slimfaas-issuer.slimfaas.svc:8444',
    group: IDENTITY,
    describe: 'URL at which the token of this pod is exchanged for an identity on NATS',
  },
  'issuer-address': {
    type: 'string',
    default: '',
    group: IDENTITY,
    describe: 'IP address for --issuer, tried first; empty: none',
  },
  'token-file': {
    type: 'string',
    default: '/var/run/secrets/slimfaas.dev/identity/token',
    group: IDENTITY,
    describe: 'the token of this pod, of audience slimfaas; read at each exchange',
  },
} as const satisfies FlagTable;

/** For parts that mount the CA; a sidecar has it in its environment. */
export const partIdentityFlags = {
  ...identityFlags,
  'issuer-ca-file': {
    type: 'string',
    default: '/var/run/secrets/slimfaas.dev/identity/ca.crt',
    group: IDENTITY,
    describe: 'CA certificates by which issuer and NATS are known, PEM; read at each exchange',
  },
} as const satisfies FlagTable;

export const sidecarIdentityFlags = {
  ...identityFlags,
  'issuer-ca': {
    type: 'string',
    default: '',
    group: IDENTITY,
    describe: 'CA certificates by which issuer and NATS are known at first, PEM',
  },
  grant: {
    type: 'string',
    default: '',
    group: IDENTITY,
    describe: 'what proves to the issuer that this pod is one of the function; the webhook writes it',
  },
  'proxy-proof': {
    type: 'string',
    default: 'off',
    choices: AUTH_MODES,
    group: IDENTITY,
    describe:
      'off: whoever reaches the port for calls may call; permissive: callers that have not shown that they are proxies are counted; required: they are refused',
  },
  'proxy-keys': {
    type: 'list',
    default: [],
    group: IDENTITY,
    describe: 'public keys by which proxies are known',
  },
} as const satisfies FlagTable;
