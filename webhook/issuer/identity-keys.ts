/**
 * The keys that everything about identity hangs on, and how they look in their Secret. The operator signs accounts, an
 * account's signing key signs its users; an account's own key signs nothing. Pure except for the randomness.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { ACCOUNTS } from '../../common/bus/permissions.ts';
import { natsConfig } from '../../common/identity/nats-config.ts';
import { accountJwt, operatorJwt } from '../../common/identity/nats-jwt.ts';
import type { Granted } from '../inject/identity.ts';
import { createNkey, readSeed, type Nkey } from '../../common/identity/nkey.ts';

export interface IdentityKeys {
  readonly operator: Nkey;
  /** The account CORE: proxies, scalers and all streams. */
  readonly account: Nkey;
  readonly signer: Nkey;
  /** The account FUNCTIONS: sidecars. */
  readonly functions: Nkey;
  readonly functionsSigner: Nkey;
  readonly systemAccount: Nkey;
  /** Proofs of functions are made with it; 32 bytes in base64url. */
  readonly grantKey: string;
}

type Data = Readonly<Record<string, string>>;

const FILE = {
  operator: 'operator.nk',
  account: 'account.nk',
  signer: 'signer.nk',
  functions: 'functions.nk',
  functionsSigner: 'functions-signer.nk',
  systemAccount: 'system-account.nk',
  grantKey: 'grant.key',
} as const;
const KEY_BYTES = 32;

export function createKeys(): IdentityKeys {
  return {
    operator: createNkey('operator'),
    account: createNkey('account'),
    signer: createNkey('account'),
    functions: createNkey('account'),
    functionsSigner: createNkey('account'),
    systemAccount: createNkey('account'),
    grantKey: randomBytes(KEY_BYTES).toString('base64url'),
  };
}

export function dataOfKeys(keys: IdentityKeys): Record<string, string> {
  return {
    [FILE.operator]: keys.operator.seed,
    [FILE.account]: keys.account.seed,
    [FILE.signer]: keys.signer.seed,
    [FILE.functions]: keys.functions.seed,
    [FILE.functionsSigner]: keys.functionsSigner.seed,
    [FILE.systemAccount]: keys.systemAccount.seed,
    [FILE.grantKey]: keys.grantKey,
  };
}

/**
 * What single entry is missing is made again. That is how a key is replaced by hand, and how a Secret of an older
 * version gets new ones. But not the account: its streams would be lost with it.
 * @throws Error for an entry that cannot be read, and for keys without their account
 */
export function keysOfData(data: Data): { keys: IdentityKeys; isComplete: boolean } {
  if (!data[FILE.account]) throw new Error(`${FILE.account} is missing`);
  const made = createKeys();
  const nkey = (file: string, kind: 'operator' | 'account', fresh: Nkey): Nkey => {
    const seed = data[file];
    return seed ? named(file, () => readSeed(kind, seed)) : fresh;
  };
  const keys = {
    operator: nkey(FILE.operator, 'operator', made.operator),
    account: nkey(FILE.account, 'account', made.account),
    signer: nkey(FILE.signer, 'account', made.signer),
    functions: nkey(FILE.functions, 'account', made.functions),
    functionsSigner: nkey(FILE.functionsSigner, 'account', made.functionsSigner),
    systemAccount: nkey(FILE.systemAccount, 'account', made.systemAccount),
    grantKey: data[FILE.grantKey] || made.grantKey,
  };
  return { keys, isComplete: Object.values(FILE).every((file) => data[file]) };
}

function named<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** 2026-01-01: JWTs of the server's configuration have a fixed time, so that the same keys make the same text. */
const MADE_MS = Date.UTC(2026, 0);

/** The public half: what a NATS server must know. */
export function natsConfigOf(keys: IdentityKeys): string {
  const { operator, account, signer, functions, functionsSigner, systemAccount } = keys;
  const { core: coreRules, functions: functionRules } = ACCOUNTS;
  const system = systemAccount.publicKey;
  const nowMs = MADE_MS;
  return natsConfig({
    operatorJwt: operatorJwt(operator, { name: 'slimfaas', systemAccount: system, nowMs }),
    systemAccount: system,
    accounts: {
      [account.publicKey]: accountJwt(operator, {
        ...coreRules,
        account: account.publicKey,
        signingKeys: [signer.publicKey],
        imports: { from: functions.publicKey, rules: coreRules.imports },
        nowMs,
      }),
      [functions.publicKey]: accountJwt(operator, {
        ...functionRules,
        account: functions.publicKey,
        signingKeys: [functionsSigner.publicKey],
        imports: { from: account.publicKey, rules: functionRules.imports },
        nowMs,
      }),
      [system]: accountJwt(operator, {
        account: system,
        name: 'system',
        signingKeys: [],
        hasJetStream: false,
        nowMs,
      }),
    },
  });
}

/**
 * The webhook's signed statement, in the environment of a sidecar, that pods of this service account are of this function. The
 * issuer can check it without asking anybody, so that a sidecar can restart while the API server is away.
 */
export function grantFor(grantKey: string, { namespace, serviceAccount, function: name }: Granted): string {
  const text = JSON.stringify([namespace, serviceAccount, name]);
  return createHmac('sha256', Buffer.from(grantKey, 'base64url')).update(text).digest('base64url');
}

export function isGrant(grantKey: string, granted: Granted, grant: string): boolean {
  const expected = Buffer.from(grantFor(grantKey, granted));
  const given = Buffer.from(grant);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
