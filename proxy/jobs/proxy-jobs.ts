/** What the routes of jobs need, made once from the flags. */
import type { Running } from '../../common/lifecycle.ts';
import type { Log } from '../../common/log.ts';
import type { NatsLink } from '../../common/nats.ts';
import type { ProxyConfig } from '../flags.ts';
import type { AcceptOptions } from './accept.ts';
import { DeadLetters } from './dead-letters.ts';
import { JobQuery } from './query.ts';
import { Settler } from './settler.ts';

export interface ProxyJobs extends Running {
  readonly accept: AcceptOptions;
  /** 201, or 202 for clients of later SlimFaas versions. */
  readonly acceptStatus: number;
  readonly query: JobQuery;
  readonly dead: DeadLetters;
}

export function createProxyJobs(config: ProxyConfig, { nats, log }: { nats: NatsLink; log: Log }): ProxyJobs {
  const settler = new Settler(nats, log);
  const accept: AcceptOptions = {
    nats,
    settler,
    maxJobsPerFunction: config['max-jobs'],
    ackTimeoutMs: config['job-ack-timeout'] * 1000,
    maxBodyBytes: config['max-body'],
    clock: Date.now,
  };
  return {
    accept,
    acceptStatus: config['async-status'],
    query: new JobQuery(nats),
    dead: new DeadLetters(accept),
    stop: () => settler.stop(),
  };
}
