/** A Debian package that a bench compares with: installed with apt where we may, otherwise left out. */
import { spawnSync } from 'node:child_process';

/**
 * @param find where the package's file is, undefined while it is not installed
 * @returns what `find` says in the end
 */
export function findOrInstall(
  name: string,
  find: () => string | undefined,
  say: (line: string) => void,
): string | undefined {
  const found = find();
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0) {
    say(`installing ${name} with apt`);
    // RUNLEVEL=1 keeps a package from starting its service.
    const env = { ...process.env, RUNLEVEL: '1', DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('apt-get', ['update', '-qq'], { env });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env });
  }
  const path = find();
  if (path === undefined) say(`${name} is left out: it is not installed and apt could not install it`);
  return path;
}
