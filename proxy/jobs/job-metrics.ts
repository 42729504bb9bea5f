/** The proxy's metrics of jobs: what is held for them now, and the posts of their results. */
import type { QueueLink } from '../../common/queue/queue.ts';
import { Counter, Gauge, type Registry } from '../../common/runtime/metrics.ts';
import type { CallbackDeliverer } from '../callbacks/deliverer.ts';
import { systemNames } from '../../common/outbound/resolve.ts';
import type { BodyWishes } from './body-wishes.ts';
import type { StoreShare } from './accepting/store-share.ts';
import type { JobQuery } from './query.ts';
import type { UploadBudget } from './accepting/upload-budget.ts';

interface JobsNow {
  readonly uploads: UploadBudget;
  readonly query: JobQuery;
  readonly queue: QueueLink;
  readonly deliverer: CallbackDeliverer | undefined;
  readonly wishes: BodyWishes;
  readonly share: StoreShare;
}

export function registerJobGauges(registry: Registry, now: JobsNow): void {
  const { uploads, query, queue, deliverer, wishes } = now;
  registerFree(registry, now.share);
  const gauges: readonly [name: string, help: string, read: () => number][] = [
    ['slimfaas_proxy_upload_bytes', 'Memory of bodies of jobs and events that come in', () => uploads.bytes],
    [
      'slimfaas_proxy_job_waiters',
      'Callers that wait for the end of a job (Prefer: wait)',
      () => query.waiters,
    ],
    [
      'slimfaas_proxy_publishes_waiting',
      'Jobs, events and states that JetStream has not confirmed yet',
      () => queue.live?.unconfirmed ?? 0,
    ],
    [
      'slimfaas_proxy_callback_posts',
      'Results that are being posted to X-Callback-Url',
      () => deliverer?.posting ?? 0,
    ],
    [
      'slimfaas_proxy_body_wishes',
      'Requests of sidecars about large bodies that are being answered',
      () => wishes.open,
    ],
    [
      'slimfaas_proxy_names_resolving',
      'Names of X-Callback-Url that are being resolved, or wait for it',
      () => systemNames.open,
    ],
  ];
  for (const [name, help, read] of gauges) {
    const collect = function (this: Gauge): void {
      this.set(read());
    };
    new Gauge({ name, help, registers: [registry], collect });
  }
}

/** Absent until NATS has told the sizes of the streams, and where the streams have no bound. */
function registerFree(registry: Registry, share: StoreShare): void {
  new Gauge({
    name: 'slimfaas_proxy_job_store_free_bytes',
    help: 'Free bytes of the streams that hold jobs (inline) and their large bodies (stored)',
    labelNames: ['kind'] as const,
    registers: [registry],
    collect() {
      share.refresh();
      for (const kind of ['inline', 'stored'] as const) {
        const free = share.free(kind);
        if (free !== undefined) this.set({ kind }, free);
      }
    },
  });
}

/** Counts the posts to `X-Callback-Url` by their outcome. */
export function callbackPosts(registry: Registry): Counter<'outcome'> {
  return new Counter({
    name: 'slimfaas_proxy_job_callbacks_total',
    help: 'Posts of results to X-Callback-Url: delivered, failed (tried again later), refused, given-up',
    labelNames: ['outcome'] as const,
    registers: [registry],
  });
}
