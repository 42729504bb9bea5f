/**
 * What the routes of jobs need, made once from the flags.
 *
 * Room `proxy/jobs`: Jobs: accept, ask, replay.
 * Comes in: a request to /async-function/.
 * Goes out: a stored job, its state and result.
 */
import { jetStreamQueue } from '../../common/queue/jetstream/link.ts';
import type { QueueLink } from '../../common/queue/queue.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Registry } from '../../common/runtime/metrics.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { UrlAllow } from '../../common/outbound/allow.ts';
import { CallbackDeliverer } from '../callbacks/deliverer.ts';
import { CallbackGate } from '../callbacks/gate.ts';
import { systemNames, type Resolve } from '../../common/outbound/resolve.ts';
import type { ProxyConfig } from '../flags.ts';
import type { AcceptOptions } from './accepting/accept.ts';
import { BodyWishes } from './body-wishes.ts';
import { DeadLetters } from './dead-letters.ts';
import { JobBytes } from './accepting/job-bytes.ts';
import { doneUpTo, listenToEnds } from './job-ends.ts';
import { callbackPosts, registerJobGauges } from './job-metrics.ts';
import { JobQuery } from './query.ts';
import { Settler } from './accepting/settler.ts';
import { StateWriter } from './state-writer.ts';
import { StoreShare } from './accepting/store-share.ts';
import { UploadBudget } from './accepting/upload-budget.ts';

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
  const { nats, log, registry, resolve = systemNames.resolve } = deps;
  const queue = jetStreamQueue(nats);
  const settler = new Settler(queue, log);
  const writer = new StateWriter(queue, log);
  const allow = new UrlAllow(config['callback-allow']);
  const bytes = new JobBytes({
    maxBytes: config['max-job-bytes'],
    doneUpTo: (id) => doneUpTo(queue, id),
  });
  const share = new StoreShare({ queue });
  const uploads = new UploadBudget(config['upload-bytes']);
  const query = new JobQuery({ nats, queue, writer });
  const endListening = bytes.isOn ? listenToEnds(queue, bytes) : undefined;
  const accept: AcceptOptions = {
    queue,
    settler,
    callbacks: new CallbackGate({ allow, resolve }),
    bytes,
    share,
    uploads,
    ackTimeoutMs: config['job-ack-timeout'] * 1000,
    maxBodyBytes: config['max-body'],
    // Before that there may be sidecars that know names of one token only.
    namesFunction: config.auth === 'required' && !config['old-sidecars'],
    clock: Date.now,
  };
  const wishes = new BodyWishes({ nats, queue, log });
  const deliverer = startDeliverer(allow, { queue, log, registry, resolve });
  registerJobGauges(registry, { uploads, query, queue, deliverer, wishes, share });
  return {
    accept,
    acceptStatus: config['async-status'],
    query,
    dead: new DeadLetters(accept),
    async stop() {
      endListening?.();
      wishes.stop();
      await deliverer?.stop();
      await writer.stop();
      await settler.stop();
    },
  };
}

interface DelivererDeps extends Required<Omit<ProxyJobsDeps, 'nats'>> {
  readonly queue: QueueLink;
}

function startDeliverer(
  allow: UrlAllow,
  { queue, log, registry, resolve }: DelivererDeps,
): CallbackDeliverer | undefined {
  const posts = callbackPosts(registry);
  if (allow.isOff) return undefined;
  return new CallbackDeliverer({
    queue,
    log,
    allow,
    resolve,
    timeoutMs: CALLBACK_TIMEOUT_MS,
    ended: (outcome) => posts.inc({ outcome }),
    now: Date.now,
  });
}
