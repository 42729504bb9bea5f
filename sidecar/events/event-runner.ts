/**
 * One event from delivery to ack, as a job is run, but that it leaves no record: this pod's copy concerns this pod
 * alone. Its next try is JetStream's to keep time for; the count of its tries is in memory (ledger.ts). After the
 * last one it is given up with a log line and a count. There is one copy per pod, and nobody to replay one for.
 */
import type { Delivery } from '../../common/queue/queue.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { decodeJob, type Job } from '../../common/queue/job.ts';
import type { Log } from '../../common/runtime/log.ts';
import { captureSink } from '../../common/relay/index.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';
import type { JobRun } from '../jobs/consumer.ts';
import type { JobStats } from '../jobs/ending/job-stats.ts';
import { tryJob, type TryDeps } from '../jobs/try-job.ts';
import { verdict } from '../jobs/verdict.ts';
import type { EventLedger } from './ledger.ts';
import { ACK_WAIT_MS } from '../../common/queue/settings.ts';

export interface EventRunnerDeps extends TryDeps {
  readonly policy: RetryPolicy;
  readonly jitter: number;
  readonly ledger: EventLedger;
  readonly stats: JobStats;
  readonly log: Log;
}

/** An app that is not listening although its probe passed is about to be restarted. */
const UNREACHED_DELAY_MS = 1_000;

export class EventRunner implements JobRun {
  readonly #deps: EventRunnerDeps;

  constructor(deps: EventRunnerDeps) {
    this.#deps = deps;
  }

  async run(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { ledger, log, stats } = this.#deps;
    let job: Job;
    try {
      job = decodeJob(delivery.data);
    } catch (error) {
      log.error({ event: delivery.seq, error: describeError(error) }, 'event that cannot be read is dropped');
      stats.ended('dead');
      return delivery.finish();
    }
    if (ledger.isFinished(job.head.secret)) return delivery.finish(); // only the ack was lost
    const end = ledger.begin(job.head.secret);
    // nats-server 2.15 delivers at once what was in hand when it was restarted. The first delivery's heartbeat goes on.
    if (!end) return;
    const heartbeat = setInterval(() => delivery.working(), ACK_WAIT_MS / 3);
    await this.#try(delivery, job, signal).finally(() => {
      clearInterval(heartbeat);
      end();
    });
  }

  async #try(delivery: Delivery, job: Job, signal: AbortSignal): Promise<void> {
    const { policy, jitter, ledger, stats } = this.#deps;
    const { secret } = job.head;
    const triesBefore = ledger.tries(secret);
    stats.started();
    const given = { job, sequence: delivery.seq, triesBefore, policy, signal };
    const tried = await tryJob(given, captureSink(0), this.#deps);
    if (tried.kind === 'none') {
      stats.ended('given-back');
      return delivery.retryLater(signal.aborted ? 0 : UNREACHED_DELAY_MS);
    }
    const decided = verdict(tried, triesBefore, policy, { jitter });
    if (decided.kind === 'retry') {
      ledger.failed(secret, delivery.receipt);
      stats.ended('retry');
      return delivery.retryLater(decided.delayMs);
    }
    ledger.finished(secret);
    delivery.finish();
    stats.ended(decided.kind === 'dead' ? 'dead' : 'done');
    if (decided.kind === 'dead') this.#giveUp(job, triesBefore + 1, decided.error);
  }

  #giveUp({ head: { event, path } }: Job, tries: number, why: string): void {
    this.#deps.log.warn({ event, path, tries, why }, 'event given up');
  }
}
