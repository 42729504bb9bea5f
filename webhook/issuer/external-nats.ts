/**
 * What is mounted of a NATS that is not ours: the signing key of an account that was given to us, or credentials for each
 * role; and the CA by which that NATS is known. Read again and again, because Secrets change.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SharedCredentials } from '../../common/identity/messages.ts';
import { isPublicKey, readSeed, type Nkey } from '../../common/identity/nkey.ts';

export interface ExternalPlaces {
  /** Folder with `account` and `signer.nk`; empty: none. */
  readonly signingKey: string;
  /** Folder with credentials of each role; empty: none. */
  readonly credentials: string;
  /** PEM; empty: the system knows who signed NATS's certificate. */
  readonly caFile: string;
}

export const ROLES = ['proxy', 'scaler', 'sidecar'] as const;
export type Role = (typeof ROLES)[number];

/** An account and the key that signs its users. */
export interface SigningAccount {
  /** Its public key. */
  readonly account: string;
  readonly signer: Nkey;
}

export type ExternalNats = {
  /** PEM; empty: what the system knows. */
  readonly ca: string;
} & (
  | {
      readonly kind: 'signing-key';
      readonly core: SigningAccount;
      /** The account that sidecars have alone; undefined: they are in the same one. */
      readonly functions: SigningAccount | undefined;
    }
  | { readonly kind: 'credentials'; readonly of: Readonly<Record<Role, SharedCredentials>> }
);

type Files = Readonly<Record<string, string>>;

/** @throws Error that names the file and what is wrong with it */
export async function readExternalNats({
  signingKey,
  credentials,
  caFile,
}: ExternalPlaces): Promise<ExternalNats> {
  const ca = caFile === '' ? '' : await readCa(caFile);
  if (signingKey !== '') return { ca, kind: 'signing-key', ...accountsOf(await filesIn(signingKey)) };
  const files = await filesIn(credentials);
  const of = ROLES.map((role) => [role, credentialsOf(role, files)] as const);
  return { ca, kind: 'credentials', of: Object.fromEntries(of) as Record<Role, SharedCredentials> };
}

async function readCa(file: string): Promise<string> {
  const text = await readFile(file, 'utf8');
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${file} holds no certificate`);
  return text;
}

/** A mounted Secret has its fields as files, beside folders of the kubelet's. */
async function filesIn(dir: string): Promise<Files> {
  const names = (await readdir(dir)).filter((name) => !name.startsWith('..'));
  const read = names.map(async (name) => [name, (await readFile(join(dir, name), 'utf8')).trim()] as const);
  return Object.fromEntries(await Promise.all(read));
}

function accountsOf(files: Files): { core: SigningAccount; functions: SigningAccount | undefined } {
  const hasFunctions = files['functions-account'] !== undefined || files['functions-signer.nk'] !== undefined;
  return {
    core: signingAccount(files, 'account', 'signer.nk'),
    functions: hasFunctions ? signingAccount(files, 'functions-account', 'functions-signer.nk') : undefined,
  };
}

function signingAccount(files: Files, accountFile: string, seedFile: string): SigningAccount {
  const account = needed(files, accountFile, `the public key (A…) of the account that ${seedFile} signs for`);
  if (!isPublicKey('account', account)) throw new Error(`${accountFile} is no public key of an account (A…)`);
  const seed = needed(files, seedFile, `a signing key (SA…) of the account in ${accountFile}`);
  const signer = inFile(seedFile, () => readSeed('account', seed));
  if (signer.publicKey === account)
    throw new Error(
      `${seedFile} is the account’s own key; give a signing key of it, which can be taken away`,
    );
  return { account, signer };
}

function credentialsOf(role: Role, files: Files): SharedCredentials {
  const kinds = ['creds', 'token', 'user'].filter((kind) => files[`${role}.${kind}`] !== undefined);
  if (kinds.length !== 1)
    throw new Error(
      `${role}: give one of ${role}.creds, ${role}.token, and ${role}.user with ${role}.password; there are ${kinds.length}`,
    );
  const file = `${role}.${kinds[0]}`;
  const text = needed(files, file, 'not empty');
  if (kinds[0] === 'token') return { kind: 'token', token: text };
  if (kinds[0] === 'creds') return { kind: 'jwt', ...inFile(file, () => credentialsFile(text)) };
  const password = needed(files, `${role}.password`, `the password of ${file}`);
  return { kind: 'password', user: text, password };
}

/** As `nsc generate creds` writes it. */
function credentialsFile(text: string): { jwt: string; seed: string } {
  const jwt = /-BEGIN NATS USER JWT-+\s+(\S+)/.exec(text)?.[1];
  const seed = /-BEGIN USER NKEY SEED-+\s+(\S+)/.exec(text)?.[1];
  if (jwt === undefined || seed === undefined)
    throw new Error('no credentials file with a user JWT and its seed');
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as {
    sub?: unknown;
  };
  if (claims.sub !== readSeed('user', seed).publicKey)
    throw new Error('the seed is not of the user of the JWT');
  return { jwt, seed };
}

function needed(files: Files, file: string, what: string): string {
  const text = files[file];
  if (!text) throw new Error(`${file} is missing: ${what}`);
  return text;
}

function inFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
