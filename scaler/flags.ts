/**
 * The flags of `slimfaas scaler`. The lease's defaults: a leader renews every 2 s and stops acting 8 s after its last
 * success. A follower sees a renewal at most 2 s late and waits 12 s from there. So a killed leader is replaced at
 * most 14 s after it last renewed, and never while it may still act (8 < 12).
 */
import { partIdentityFlags } from '../common/identity/flags.ts';
import type { FlagTable, FlagValues } from '../common/runtime/flags.ts';
import { UsageError } from '../common/runtime/errors.ts';
import { EVERY_ADDRESS } from '../common/runtime/listen-on.ts';
import { LOG_LEVEL_FLAG } from '../common/runtime/log.ts';
import { hostFlags } from '../common/function/host-flags.ts';
import { servicesFlags } from '../common/function/services-flags.ts';
import { loadFlags } from './load/load-flags.ts';
import { sourceFlags } from './sources/source-flags.ts';
import { queryFlags } from './queries/query-flags.ts';
import { accessFlags, ownTokenFlag } from '../common/access/access-flags.ts';
import type { JobSettings } from '../common/queue/settings.ts';
import { bytesOfSize } from '../common/queue/volume.ts';

export const scalerFlags = {
  namespaces: {
    type: 'list',
    default: [],
    group: 'Scaling',
    describe: 'namespaces whose workloads are scaled; none: all',
  },
  ...hostFlags,
  tick: {
    type: 'number',
    default: 1,
    min: 0.05,
    max: 60,
    group: 'Scaling',
    describe: 'seconds between decisions; wakes never wait for it',
  },
  ...loadFlags,
  ...queryFlags,
  ...sourceFlags,
  nats: {
    type: 'string',
    default: 'nats://127.0.0.1:4222',
    group: 'Connections',
    describe: 'NATS servers, separated by commas',
  },
  'nats-address': {
    type: 'string',
    default: '',
    group: 'Connections',
    describe: 'IP address of the NATS server, tried first and where its name cannot be resolved; empty: none',
  },
  host: {
    type: 'string',
    default: EVERY_ADDRESS,
    group: 'Connections',
    describe: 'address to listen on; :: is all, IPv6 and IPv4',
  },
  port: {
    type: 'int',
    default: 5001,
    min: 0,
    max: 65535,
    group: 'Connections',
    describe: 'port of health, metrics, wake and decisions; 0: any free one',
  },
  'services-wake': {
    type: 'boolean',
    default: true,
    group: 'Services',
    describe:
      'whether functions may ask for slimfaas.dev/services: wake; needs the right to write EndpointSlices',
  },
  ...servicesFlags,
  'services-ports-first': {
    type: 'int',
    default: 20_000,
    min: 1_024,
    max: 65_535,
    group: 'Services',
    describe:
      'first of the ports that proxies open for Services of functions with slimfaas.dev/services: wake',
  },
  'services-ports-last': {
    type: 'int',
    default: 29_999,
    min: 1_024,
    max: 65_535,
    group: 'Services',
    describe: 'last of these ports; each TCP port of such a Service takes one',
  },
  'services-owner': {
    type: 'string',
    default: '',
    group: 'Services',
    describe:
      'ClusterRole of this installation, which takes our EndpointSlices along when it goes; empty: none does',
  },
  'job-storage': {
    type: 'string',
    default: 'file',
    choices: ['file', 'memory'],
    group: 'Jobs',
    describe: 'where JetStream keeps jobs; memory does not outlive the NATS server',
  },
  'job-replicas': {
    type: 'int',
    default: 1,
    min: 1,
    max: 5,
    group: 'Jobs',
    describe: 'NATS servers that keep each job; more than 1 needs a NATS cluster',
  },
  'max-jobs': {
    type: 'int',
    default: 10_000,
    min: 1,
    group: 'Jobs',
    describe: 'jobs of one function that may be queued, running or waiting for a retry; beyond it 429',
  },
  'nats-volume': {
    type: 'string',
    default: '',
    group: 'Jobs',
    describe:
      'size of the volume on which NATS keeps jobs and events, such as 10Gi: each stream gets a share of it. Empty: no stream has a bound of its own',
  },
  'job-max-bytes': {
    type: 'int',
    default: 0,
    min: 0,
    group: 'Jobs',
    describe: 'bytes of all queued jobs; 0: a fifth of --nats-volume',
  },
  'duplicate-window': {
    type: 'number',
    default: 120,
    min: 1,
    group: 'Jobs',
    describe: 'seconds within which the same Idempotency-Key is the same job',
  },
  'result-ttl': {
    type: 'number',
    default: 3_600,
    min: 1,
    group: 'Jobs',
    describe: "seconds for which a job's state and result are kept after its last change",
  },
  'dead-ttl': {
    type: 'number',
    default: 604_800,
    min: 1,
    group: 'Jobs',
    describe: 'seconds for which a job that was given up can be replayed',
  },
  'body-ttl': {
    type: 'number',
    default: 604_800,
    min: 1,
    group: 'Jobs',
    describe: 'seconds after which a large body is removed, whatever became of its job',
  },
  'event-ttl': {
    type: 'number',
    default: 3_600,
    min: 1,
    group: 'Events',
    describe: 'seconds after which an event is gone for a pod that has not run it by then',
  },
  'event-max-bytes': {
    type: 'int',
    default: 0,
    min: 0,
    group: 'Events',
    describe: 'bytes of all stored events, beyond which the oldest go; 0: a twentieth of --nats-volume',
  },
  'lease-name': {
    type: 'string',
    default: 'slimfaas-scaler',
    group: 'Leadership',
    describe: 'Lease that names the leader',
  },
  namespace: {
    type: 'string',
    default: 'default',
    group: 'Leadership',
    describe: "the scaler's own namespace (fieldRef metadata.namespace)",
  },
  'lease-namespace': {
    type: 'string',
    default: '',
    group: 'Leadership',
    describe: "namespace of the Lease; empty: the scaler's own",
  },
  'lease-duration': {
    type: 'number',
    default: 12,
    min: 0.1,
    max: 300,
    group: 'Leadership',
    describe: 'seconds without a renewal after which another replica takes over',
  },
  'renew-deadline': {
    type: 'number',
    default: 8,
    min: 0.1,
    max: 300,
    group: 'Leadership',
    describe:
      'seconds without a renewal after which the leader itself stops acting; less than --lease-duration',
  },
  'retry-period': {
    type: 'number',
    default: 2,
    min: 0.05,
    max: 60,
    group: 'Leadership',
    describe: 'seconds between two renewals or two looks at the Lease; less than --renew-deadline',
  },
  'pod-name': { type: 'string', default: '', group: 'Identity', describe: 'name of this pod (fieldRef)' },
  'pod-ip': {
    type: 'string',
    default: '127.0.0.1',
    group: 'Identity',
    describe: 'address of this pod (fieldRef), by which other replicas reach it',
  },
  ...partIdentityFlags,
  ...accessFlags,
  ...ownTokenFlag,
  'log-level': LOG_LEVEL_FLAG,
} as const satisfies FlagTable;

export type ScalerConfig = FlagValues<typeof scalerFlags>;

export interface LeaseTimes {
  readonly durationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** @throws UsageError where a leader could still act after another one took over */
export function leaseTimesOf(config: ScalerConfig): LeaseTimes {
  const [retry, renew, duration] = [
    config['retry-period'],
    config['renew-deadline'],
    config['lease-duration'],
  ];
  if (!(retry < renew && renew < duration))
    throw new UsageError(
      `--retry-period < --renew-deadline < --lease-duration must hold, not ${retry}, ${renew}, ${duration}`,
    );
  return { durationMs: duration * 1_000, renewDeadlineMs: renew * 1_000, retryMs: retry * 1_000 };
}

function volumeBytes(size: string): number {
  if (size === '') return 0;
  const bytes = bytesOfSize(size);
  if (bytes === undefined || bytes < VOLUME_MIN_BYTES)
    throw new UsageError(
      `--nats-volume must be a size of 64Mi or more, such as 10Gi, not ${JSON.stringify(size)}`,
    );
  return bytes;
}

const VOLUME_MIN_BYTES = 64 * 1024 * 1024;

export function jobSettingsOf(config: ScalerConfig): JobSettings {
  return {
    storage: config['job-storage'] === 'memory' ? 'memory' : 'file',
    replicas: config['job-replicas'],
    maxJobsPerFunction: config['max-jobs'],
    volumeBytes: volumeBytes(config['nats-volume']),
    maxBytes: config['job-max-bytes'],
    duplicateWindowMs: config['duplicate-window'] * 1_000,
    resultTtlMs: config['result-ttl'] * 1_000,
    deadTtlMs: config['dead-ttl'] * 1_000,
    bodyTtlMs: config['body-ttl'] * 1_000,
    eventTtlMs: config['event-ttl'] * 1_000,
    eventMaxBytes: config['event-max-bytes'],
  };
}
