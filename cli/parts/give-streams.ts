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

interface KnownAccounts {
  /** With the public key of the account to which streams belong; empty: to nobody. */
  readonly accountFile: string;
  /** The server's configuration, which names the system account; empty: none does. */
  readonly configFile: string;
}

/**
 * The same for a server of a cluster. There the servers agree on which streams there are, by account, in a folder of the
 * system account. So streams cannot change their account: a server that started nevertheless would remove them. The
 * system account may be another one, as all of its folder is.
 * @returns what was done, in words @throws UsageError when the streams are another account's
 */
export function keepAccounts(storeDir: string, { accountFile, configFile }: KnownAccounts): string {
  const dir = join(storeDir, 'jetstream');
  const wanted = accountFile === '' ? GLOBAL : accountIn(accountFile);
  const names = existsSync(dir) ? readdirSync(dir) : [];
  const owners = names.filter((name) => isAccount(name) && existsSync(join(dir, name, 'streams')));
  const other = owners.find((name) => name !== wanted);
  if (other !== undefined)
    throw new UsageError(
      `streams of ${other} are here, and a server of several cannot give them to ${wanted}: go back to the auth that was set before`,
    );
  const system = configFile === '' ? SYSTEM : systemAccountIn(configFile);
  const before = names.find((name) => existsSync(join(dir, name, '_js_', '_meta_')));
  if (before === undefined) return 'the servers have agreed on nothing yet';
  if (before === system) return `what the servers agree on is that of ${system} already`;
  renameSync(join(dir, before), join(dir, system));
  return `what the servers agree on is that of ${system} now, not of ${before}`;
}

/** The account of servers that know none. */
const SYSTEM = '$SYS';

function systemAccountIn(file: string): string {
  const account = /^system_account: *(\S+)/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  if (!isPublicKey('account', account)) throw new UsageError(`${file} names no system_account`);
  return account;
}
