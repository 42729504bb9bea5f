/**
 * The flags of `slimfaas scaler`. The lease's defaults: a leader renews every 2 s and stops acting 8 s after its
 * last success; a follower sees a renewal at most 2 s late and waits 12 s from there, so a killed leader is
 * replaced at most 14 s after it last renewed, and never while it may still believe in itself (8 < 12).
 */
import type { FlagTable, FlagValues } from '../common/flags.ts';
import { LOG_LEVEL_FLAG } from '../common/log.ts';

export const scalerFlags = {
  namespaces: {
    type: 'list',
    default: [],
    group: 'Scaling',
    describe: 'namespaces whose workloads are scaled; none: all',
  },
  tick: {
    type: 'number',
    default: 1,
    min: 0.05,
    max: 60,
    group: 'Scaling',
    describe: 'seconds between decisions; wakes never wait for it',
  },
  'prometheus-url': {
    type: 'string',
    default: '',
    group: 'Scaling',
    describe:
      'Prometheus that answers the queries of SlimFaas/Scale; empty: the scaler evaluates them itself',
  },
  nats: {
    type: 'string',
    default: 'nats://127.0.0.1:4222',
    group: 'Connections',
    describe: 'NATS servers, separated by commas',
  },
  host: { type: 'string', default: '0.0.0.0', group: 'Connections', describe: 'address to listen on' },
  port: {
    type: 'int',
    default: 5001,
    min: 0,
    max: 65535,
    group: 'Connections',
    describe: 'port of health, metrics, wake and decisions; 0: any free one',
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
  'log-level': LOG_LEVEL_FLAG,
} as const satisfies FlagTable;

export type ScalerConfig = FlagValues<typeof scalerFlags>;
