/**
 * Holds a process to a part of one core, by a control group of its own: so that what two processes can do together is
 * measured on a machine whose cores the load and the function behind need as well. Linux, as root.
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PERIOD_US = 20_000;
/** Version 2 has one tree, version 1 one for the processor alone. */
const V2 = '/sys/fs/cgroup/cgroup.controllers';
const V1 = '/sys/fs/cgroup/cpu';

/**
 * @param share of one core, 0 to 1
 * @returns its release, to be called when the process has ended; undefined: not possible here
 */
export function limitCpu(pid: number, share: number): (() => void) | undefined {
  const folder = join(existsSync(V2) ? '/sys/fs/cgroup' : V1, `slimfaas-bench-${pid}`);
  const quotaUs = Math.round(PERIOD_US * share);
  try {
    mkdirSync(folder);
    if (existsSync(V2)) writeFileSync(join(folder, 'cpu.max'), `${quotaUs} ${PERIOD_US}`);
    else {
      writeFileSync(join(folder, 'cpu.cfs_period_us'), String(PERIOD_US));
      writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(quotaUs));
    }
    writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    return () => rmdirSync(folder);
  } catch {
    return undefined;
  }
}
