/** What the routes of jobs need, made once from the flags. */
import type { Running } from '../../common/lifecycle.ts';
import type { Log } from '../../common/log.ts';
import { Counter, Gauge, type Registry } from '../../common/metrics.ts';
import type { NatsLink } from '../../common/nats.ts';
import { CallbackAllow } from '../callback-urls/allow.ts';
import { CallbackDeliverer } from '../callback-urls/deliverer.ts';
import { CallbackGate } from '../callback-urls/gate.ts';
import { resolveBySystem, type Resolve } from '../callback-urls/resolve.ts';
import type { ProxyConfig } from '../flags.ts';
import type { AcceptOptions } from './accept.ts';
import { DeadLetters } from './dead-letters.ts';
import { JobBytes } from './job-bytes.ts';
import { doneUpTo, listenToEnds } from './job-ends.ts';
import { JobQuery } from './query.ts';
import { Settler } from './settler.ts';
import { StateWriter } from './state-writer.ts';
import { UploadBudget } from './upload-budget.ts';

export interface ProxyJobs extends Running {
  readonly accept: AcceptOptions;
  /** 201, or 202 for clients of later SlimFaas versions. */
  readonly acceptStatus: number;
  readonly query: JobQuery;
  readonly dead: DeadLetters;
}

export interface ProxyJobsDeps {
  readonly nats: NatsLink;
  readonly log: Log;
  readonly registry: Registry;
  readonly resolve?: Resolve;
}

const CALLBACK_TIMEOUT_MS = 10_000;

/** @throws UsageError for an entry of `--callback-allow` that is none */
export function createProxyJobs(config: ProxyConfig, deps: ProxyJobsDeps): ProxyJobs {
  const { nats, log, registry, resolve = resolveBySystem } = deps;
  const settler = new Settler(nats, log);
  const writer = new StateWriter(nats, log);
  const allow = new CallbackAllow(config['callback-allow']);
  const bytes = new JobBytes({
    maxBytes: config['max-job-bytes'],
    doneUpTo: (id) => doneUpTo(nats, id),
  });
  const uploads = new UploadBudget(config['upload-bytes']);
  const query = new JobQuery(nats, writer);
  registerJobGauges(registry, { uploads, query });
  const endListening = bytes.isOn ? listenToEnds(nats, bytes) : undefined;
  const accept: AcceptOptions = {
    nats,
    settler,
    callbacks: new CallbackGate({ allow, resolve }),
    bytes,
    uploads,
    ackTimeoutMs: config['job-ack-timeout'] * 1000,
    maxBodyBytes: config['max-body'],
    clock: Date.now,
  };
  const deliverer = startDeliverer(allow, { ...deps, resolve });
  return {
    accept,
    acceptStatus: config['async-status'],
    query,
    dead: new DeadLetters(accept),
    async stop() {
      endListening?.();
      await deliverer?.stop();
      await writer.stop();
      await settler.stop();
    },
  };
}

function registerJobGauges(
  registry: Registry,
  { uploads, query }: { readonly uploads: UploadBudget; readonly query: JobQuery },
): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge(
    'slimfaas_proxy_upload_bytes',
    'Memory of bodies of jobs and events that come in',
    () => uploads.bytes,
  );
  gauge(
    'slimfaas_proxy_job_waiters',
    'Callers that wait for the end of a job (Prefer: wait)',
    () => query.waiters,
  );
}

function startDeliverer(
  allow: CallbackAllow,
  { nats, log, registry, resolve }: Required<ProxyJobsDeps>,
): CallbackDeliverer | undefined {
  const posts = new Counter({
    name: 'slimfaas_proxy_job_callbacks_total',
    help: 'Posts of results to X-Callback-Url: delivered, failed (tried again later), refused, given-up',
    labelNames: ['outcome'],
    registers: [registry],
  });
  if (allow.isOff) return undefined;
  return new CallbackDeliverer({
    nats,
    log,
    allow,
    resolve,
    timeoutMs: CALLBACK_TIMEOUT_MS,
    ended: (outcome) => posts.inc({ outcome }),
    now: Date.now,
  });
}
