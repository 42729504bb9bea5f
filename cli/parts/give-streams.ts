/**
 * A server that asks nobody keeps streams in the folder of the account `$G`; one that does keeps them in the folder of
 * the account's key. So when that changes, the folder is renamed, and jobs are still there. Nothing is done twice, and
 * nothing is ever overwritten.
 */
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { isPublicKey } from '../../common/identity/nkey.ts';
import { UsageError } from '../../common/runtime/errors.ts';

/** The account of clients that show none. */
const GLOBAL = '$G';

/** @returns what was done, in words */
export function giveStreams(storeDir: string, accountFile: string): string {
  const dir = join(storeDir, 'jetstream');
  const wanted = accountFile === '' ? GLOBAL : accountIn(accountFile);
  const found = existsSync(dir) ? readdirSync(dir).filter((name) => isAccount(name)) : [];
  if (found.includes(wanted)) return `streams are those of ${wanted} already`;
  const [other, ...more] = found;
  if (other === undefined) return 'there are no streams yet';
  if (more.length > 0) return `left alone: ${dir} has streams of several accounts: ${found.join(', ')}`;
  renameSync(join(dir, other), join(dir, wanted));
  return `streams of ${other} are those of ${wanted} now`;
}

function isAccount(name: string): boolean {
  return name === GLOBAL || isPublicKey('account', name);
}

function accountIn(file: string): string {
  const account = readFileSync(file, 'utf8').trim();
  if (!isPublicKey('account', account)) throw new UsageError(`${file} holds no public key of an account`);
  return account;
}
