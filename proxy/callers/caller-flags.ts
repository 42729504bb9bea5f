/** What the proxy asks of callers where a function says nothing: flags, and how they are read. */
import type { CorsSpec } from '../../common/function/callers.ts';
import { readAuth } from '../../common/function/annotations/callers/auth.ts';
import {
  CREDENTIALS_WITH_ANY,
  isCorsToken,
  MAX_CORS_AGE,
  readHeaders,
  readMethods,
  readOrigins,
} from '../../common/function/annotations/callers/cors.ts';
import { createFaultList } from '../../common/function/annotations/faults.ts';
import { readRateLimit } from '../../common/function/annotations/callers/rate-limit.ts';
import type { ReportFault } from '../../common/function/annotations/faults.ts';
import { UsageError } from '../../common/runtime/errors.ts';
import type { FlagTable } from '../../common/runtime/flags.ts';

export const callerFlags = {
  'rate-limit': {
    type: 'string',
    default: '',
    group: 'Callers',
    describe:
      'rate limits of functions without slimfaas.dev/rate-limit, in its form; each proxy counts for itself; empty: none',
  },
  'rate-limit-callers': {
    type: 'int',
    default: 20_000,
    min: 1,
    group: 'Callers',
    describe: 'callers whose rate is remembered; beyond it the one that was silent longest is forgotten',
  },
  'caller-auth': {
    type: 'string',
    default: '',
    group: 'Callers',
    describe: 'who may call functions without slimfaas.dev/auth, in its form; empty: everybody',
  },
  'jwt-issuers': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe:
      'issuers whose tokens may be shown, separated by commas: https://issuer, or https://issuer=https://keys without discovery; a port opens the private network for that host',
  },
  'jwks-hosts': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe: "hosts on which an issuer's keys may be besides its own, in the form of --callback-allow",
  },
  'token-bytes': {
    type: 'int',
    default: 16 * 1024 * 1024,
    min: 65_536,
    group: 'Callers',
    describe: 'memory for tokens that were verified; beyond it the one used longest ago is forgotten',
  },
  'api-keys': {
    type: 'string',
    default: '',
    group: 'Callers',
    describe:
      'folder with a file for each API key, as a Secret is mounted; read again every 30 seconds; empty: none',
  },
  'trusted-proxies': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe:
      'addresses and ranges of load balancers whose X-Forwarded-For names the caller, separated by commas; for rates alone',
  },
  'cors-allow-origin': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe:
      "sites whose scripts may call functions without slimfaas.dev/cors, and read the status: https://shop.example.com, https://*.example.com, '*'; empty: the proxy says nothing of CORS",
  },
  'cors-allow-methods': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe: 'methods that such scripts may use; empty: any',
  },
  'cors-allow-headers': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe: 'headers that such scripts may send; empty: any',
  },
  'cors-expose-headers': {
    type: 'list',
    default: [],
    group: 'Callers',
    describe: 'headers of answers that such scripts may read, beside those of slimfaas',
  },
  'cors-allow-credentials': {
    type: 'boolean',
    default: false,
    group: 'Callers',
    describe: "such scripts may send cookies and other credentials of the browser; not beside the origin '*'",
  },
  'cors-max-age': {
    type: 'int',
    default: -1,
    min: -1,
    max: MAX_CORS_AGE,
    group: 'Callers',
    describe: "seconds for which a browser may remember what was allowed; -1: the browser's own time",
  },
} as const satisfies FlagTable;

/**
 * A flag that is written as an annotation is.
 * @throws UsageError with the first fault
 */
function readAsAnnotation<T>(
  flag: string,
  text: string,
  read: (text: string, report: ReportFault) => T,
): T | undefined {
  if (text.trim() === '') return undefined;
  const list = createFaultList();
  const value = read(text.trim(), list.of(`--${flag}`));
  const [fault] = list.faults;
  if (fault) throw new UsageError(`--${flag}: ${fault.value}: ${fault.problem}`);
  return value;
}

export const readAuthFlag = (text: string) => readAsAnnotation('caller-auth', text, readAuth);
export const readRateFlag = (text: string) => readAsAnnotation('rate-limit', text, readRateLimit);

export interface CorsConfig {
  readonly 'cors-allow-origin': readonly string[];
  readonly 'cors-allow-methods': readonly string[];
  readonly 'cors-allow-headers': readonly string[];
  readonly 'cors-expose-headers': readonly string[];
  readonly 'cors-allow-credentials': boolean;
  readonly 'cors-max-age': number;
}

/**
 * @returns undefined without an origin
 * @throws UsageError with the first value that cannot be used
 */
export function readCorsFlags(config: CorsConfig): CorsSpec | undefined {
  const list = createFaultList();
  const origins = readOrigins(config['cors-allow-origin'], list.of('--cors-allow-origin'));
  const [fault] = list.faults;
  if (fault) throw new UsageError(`--cors-allow-origin: ${fault.value}: ${fault.problem}`);
  for (const flag of ['cors-allow-methods', 'cors-allow-headers', 'cors-expose-headers'] as const) {
    const bad = config[flag].find((text) => !isCorsToken(text));
    if (bad !== undefined)
      throw new UsageError(`--${flag}: ${JSON.stringify(bad)} is not allowed; use names`);
  }
  const hasCredentials = config['cors-allow-credentials'];
  if (hasCredentials && origins.includes('*'))
    throw new UsageError(`--cors-allow-credentials: ${CREDENTIALS_WITH_ANY}`);
  if (origins.length === 0) return undefined;
  return {
    origins,
    methods: readMethods(config['cors-allow-methods']),
    headers: readHeaders(config['cors-allow-headers']),
    exposed: config['cors-expose-headers'],
    hasCredentials,
    maxAgeSeconds: config['cors-max-age'] < 0 ? undefined : config['cors-max-age'],
  };
}
