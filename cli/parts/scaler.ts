/** `slimfaas scaler`: builds what the scaler needs from the outside world and runs it. */
import { loadKubeClients } from '../../common/kube/client.ts';
import { createLog } from './pino-log.ts';
import { createRegistry } from '../../common/runtime/metrics.ts';
import { openNatsLink } from '../../common/bus/nats.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { scalerFlags } from '../../scaler/flags.ts';
import { startScaler } from '../../scaler/start.ts';
import { openPartLogin, ownInbox } from './login.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { runPart } from './run-part.ts';

export async function runScaler(argv: Parsed): Promise<void> {
  const config = flagValues(scalerFlags, argv);
  const log = createLog('scaler', config['log-level'], config['pod-name']);
  await runPart(log, () => {
    const nats = openNatsLink({
      servers: config.nats,
      address: config['nats-address'],
      name: `scaler ${config['pod-name']}`,
      log,
      login: openPartLogin(config, log),
      inboxPrefix: ownInbox(config, { role: 'scaler', pod: config['pod-name'] }),
    });
    return startScaler(config, {
      log,
      kube: loadKubeClients(`slimfaas-scaler/${VERSION}`),
      nats,
      registry: createRegistry('scaler', VERSION),
    });
  });
}
