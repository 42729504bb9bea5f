/** `slimfaas webhook`: builds what the webhook needs from the outside world and runs it. */
import { loadKubeClients } from '../../common/kube/client.ts';
import { createLog } from './pino-log.ts';
import { createRegistry } from '../../common/runtime/metrics.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { webhookFlags } from '../../webhook/flags.ts';
import { startWebhook } from '../../webhook/start.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { runPart } from './run-part.ts';

export async function runWebhook(argv: Parsed): Promise<void> {
  const config = flagValues(webhookFlags, argv);
  const log = createLog('webhook', config['log-level'], config['pod-name']);
  await runPart(log, () =>
    startWebhook(config, {
      log,
      kube: loadKubeClients(`slimfaas-webhook/${VERSION}`),
      registry: createRegistry('webhook', VERSION),
    }),
  );
}
