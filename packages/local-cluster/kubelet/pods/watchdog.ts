/**
 * What is left to do when this process is killed with SIGKILL: end every container and remove the temp folder.
 * A shell that reads process groups from a pipe does it when the pipe ends, which the kernel does for us
 * however we die. A shell, because it weighs 1 MB and Node 40; prctl's parent-death signal would do, but Node
 * has no way to set it. What it gives up: a container started in the last instant before the kill, whose
 * number had not been written yet.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Running } from '../../../../common/runtime/lifecycle.ts';

export interface Watchdog extends Running {
  watch(processGroup: number): void;
  forget(processGroup: number): void;
}

/** `set` keeps the numbers as its positional parameters; signals of a terminal are not for it. */
const SCRIPT = `
trap '' INT TERM HUP
dir=$1; shift
while read -r op group; do
  if [ "$op" = + ]; then set -- "$@" "$group"; continue; fi
  for kept; do shift; [ "$kept" = "$group" ] || set -- "$@" "$kept"; done
done
for group; do kill -KILL "-$group" 2>/dev/null; done
case $dir in ?*) rm -rf -- "$dir";; esac
`;

/** @param tempDir removed when we are gone; stopping leaves it to the caller, who has forgotten all groups */
export function startWatchdog(tempDir: string): Watchdog {
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'slimfaas-watchdog', tempDir], {
    detached: true, // a session of its own: Ctrl-C in the terminal must not reach it
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const exited = once(child, 'exit').catch(() => undefined);
  child.stdin.on('error', () => undefined); // it is gone; there is nothing to add
  child.unref();
  return {
    watch: (group) => void child.stdin.write(`+ ${group}\n`),
    forget: (group) => void child.stdin.write(`- ${group}\n`),
    async stop() {
      child.ref();
      child.stdin.end();
      await exited;
    },
  };
}
