/** What the heap of this process holds once all garbage is gone, for tests of "no growth". */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** In bytes. Several rounds, because a finaliser of the first lets go of what the next one finds. */
export async function heapAfterGc(): Promise<number> {
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc();
  }
  return process.memoryUsage().heapUsed;
}
