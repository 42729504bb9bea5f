/** `slimfaas sidecar`: flags by the plain parser, then the part. No yargs, no Kubernetes client, no pino. */
import { readFlags } from '../../common/runtime/flags.ts';
import { createLineLog } from '../../common/runtime/log.ts';
import { openNatsLink } from '../../common/bus/nats.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { sidecarFlags } from '../../common/function/sidecar-flags.ts';
import { startSidecar } from '../../sidecar/start.ts';
import { openLogin, ownInbox } from './login.ts';
import { runPart } from './run-part.ts';
import { setV8Flags } from './v8-flags.ts';

export async function runSidecar(args: readonly string[]): Promise<void> {
  const config = readFlags(sidecarFlags, args, process.env);
  const base = { part: 'sidecar', pod: config['pod-name'] };
  const log = createLineLog(config['log-level'], base, (line) => void process.stdout.write(line));
  await runPart(log, () => {
    // prom-client is loaded for a scrape, not for a caller that waits for this pod.
    const registry = async () =>
      (await import('../../common/runtime/metrics.ts')).createRegistry('sidecar', VERSION);
    const { promise: callsFirst, resolve: restMayBegin } = Promise.withResolvers<void>();
    const nats = openNatsLink({
      servers: config.nats,
      address: config['nats-address'],
      name: `sidecar ${config['pod-name']}`,
      log,
      after: callsFirst,
      inboxPrefix: ownInbox(config, { role: 'sidecar', ...config, pod: config['pod-name'] }),
      login: openLogin(config, {
        log,
        ca: async () => config['issuer-ca'],
        of: { function: config.function, grant: config.grant },
        after: callsFirst,
      }),
    });
    const started = startSidecar(config, { log, nats, registry });
    void started.then((sidecar) => sidecar.callsFirst).then(restMayBegin, restMayBegin);
    void callsFirst.then(setV8FlagsLater);
    return started;
  });
}

/** When what most sidecars load is loaded: what comes later is compiled without Node's own compiled code. */
async function setV8FlagsLater(): Promise<void> {
  await import('../../common/bus/nats-library.ts');
  setV8Flags();
}
