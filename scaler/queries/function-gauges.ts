/** What the scaler knows of each function as numbers: for scrapes of its metrics, and for queries without a scrape. */
import type { Workload } from '../world/kube-objects.ts';

/** One function's line at the moment of a scrape. */
export interface FunctionSample {
  readonly workload: Workload;
  readonly desired: number;
  readonly ready: number;
  readonly faults: number;
  readonly direction: 'up' | 'down' | 'hold';
  readonly reason: string;
  readonly jobs: JobCounts;
  readonly running: number;
  readonly waiting: number;
}

export interface JobCounts {
  readonly ready: number;
  readonly inFlight: number;
  readonly retryPending: number;
}

export interface GaugeSpec {
  readonly name: string;
  readonly help: string;
  readonly value: (sample: FunctionSample) => number;
  /** Known to the leader only. */
  readonly isLeaders?: true;
}

export const GAUGES: readonly GaugeSpec[] = [
  {
    name: 'slimfaas_autoscaler_current_replicas',
    help: 'Replicas that the workload asks for now',
    value: (s) => s.workload.replicas,
  },
  {
    name: 'slimfaas_autoscaler_desired_replicas',
    help: 'Replicas of the latest decision',
    value: (s) => s.desired,
    isLeaders: true,
  },
  { name: 'slimfaas_autoscaler_ready_replicas', help: 'Ready pods', value: (s) => s.ready },
  {
    name: 'slimfaas_annotation_faults',
    help: 'Annotations that cannot be used as written; their defaults are in force',
    value: (s) => s.faults,
  },
  { name: 'slimfaas_function_running_requests', help: 'Calls and jobs that run', value: (s) => s.running },
  {
    name: 'slimfaas_function_waiting_requests',
    help: 'Calls that wait for a place or for a pod',
    value: (s) => s.waiting,
  },
  {
    name: 'slimfaas_function_queue_ready_items',
    help: 'Jobs that wait for a free place',
    value: (s) => s.jobs.ready,
    isLeaders: true,
  },
  {
    name: 'slimfaas_function_queue_in_flight_items',
    help: 'Jobs that run; where calls run too, at most so many',
    value: (s) => s.jobs.inFlight,
    isLeaders: true,
  },
  {
    name: 'slimfaas_function_queue_retry_pending_items',
    help: 'Jobs that wait for their next try',
    value: (s) => s.jobs.retryPending,
    isLeaders: true,
  },
];
