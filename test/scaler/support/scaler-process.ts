/** A scaler in a process of its own, for tests that kill it: `node scaler-process.ts <kubeconfig> <nats> <flags…>`. */
import { readFileSync } from 'node:fs';
import { readFlags } from '../../../common/runtime/flags.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { scalerFlags } from '../../../scaler/flags.ts';
import { startScaler } from '../../../scaler/start.ts';
import { clientsOf } from './test-scaler.ts';

const [kubeconfig = '', servers = '', ...flags] = process.argv.slice(2);
const text = readFileSync(kubeconfig, 'utf8');
const running = await startScaler(readFlags(scalerFlags, flags, {}), {
  log: silentLog,
  kube: clientsOf({ kubeconfig: () => text }),
  nats: openNatsLink({ servers, name: 'scaler', log: silentLog }),
  registry: createRegistry('scaler', 'test'),
});
process.send?.({ port: running.port });
setInterval(() => process.send?.({ isLeader: running.isLeader() }), 50);
