/** `slimfaas proxy`: builds what the proxy needs from the outside world and runs it. */
import { loadKubeClients } from '../../common/kube/client.ts';
import { createLog } from './pino-log.ts';
import { createRegistry } from '../../common/runtime/metrics.ts';
import { openNatsLink } from '../../common/bus/nats.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { proxyFlags } from '../../proxy/flags.ts';
import { startProxy } from '../../proxy/start.ts';
import { openPartLogin, ownInbox } from './login.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { runPart } from './run-part.ts';

export async function runProxy(argv: Parsed): Promise<void> {
  const config = flagValues(proxyFlags, argv);
  const log = createLog('proxy', config['log-level'], config['pod-name']);
  await runPart(log, () => {
    const nats = openNatsLink({
      servers: config.nats,
      address: config['nats-address'],
      name: `proxy ${config['pod-name']}`,
      log,
      login: openPartLogin(config, log),
      inboxPrefix: ownInbox(config, { role: 'proxy', pod: config['pod-name'] }),
    });
    return startProxy(config, {
      log,
      kube: loadKubeClients(`slimfaas-proxy/${VERSION}`),
      nats,
      registry: createRegistry('proxy', VERSION),
    });
  });
}
