/** What the proxy asks of callers where a function says nothing: flags, and how they are read. */
import { readAuth } from '../../common/function/annotations/callers/auth.ts';
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
