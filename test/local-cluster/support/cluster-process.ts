/**
 * A cluster in a process of its own, for tests that kill it: prints `{"dir", "pids"}` when its pod runs, and
 * then does nothing. Argument: a text by which the containers can be found in the process table.
 */
import { dirname } from 'node:path';
import { startTestCluster } from '../../helpers/cluster.ts';
import { waitFor } from '../../helpers/wait.ts';
import { idle, podOf, processesWith, untilReady } from './pods.ts';

const [mark = ''] = process.argv.slice(2);
const cluster = await startTestCluster();
const containers = [idle('one', { env: [{ name: 'MARK', value: mark }] })];
await cluster.api.create('pods', podOf('watched', { containers }));
await untilReady(cluster.api, 'watched');
const pids = await waitFor(
  () => {
    const found = processesWith(`MARK=${mark}`);
    return found.length > 0 ? found : undefined;
  },
  { what: 'the container is in the process table' },
);
process.stdout.write(`${JSON.stringify({ dir: dirname(cluster.kubeconfigPath), pids })}\n`);
