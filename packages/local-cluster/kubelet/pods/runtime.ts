/**
 * What the containers of one pod share: its address, folders, environment, images and failures, and the way to
 * say that something changed. Made by {@link PodWorker}; a container knows nothing else of the cluster.
 */
import type { Deadline } from '../container/deadline.ts';
import type { HandlerContext } from '../container/handlers.ts';
import type { ContainerSpec, PodSpec } from './pod-spec.ts';
import type { ProcessOptions } from '../container/process.ts';

export interface PodRuntime {
  /** `pod_namespace(uid)`, as the kubelet writes it in events. */
  readonly title: string;
  readonly restartPolicy: NonNullable<PodSpec['restartPolicy']>;
  readonly graceSeconds: number;
  readonly backoffBaseMs: number;
  /** How long a container waits for configuration that is missing. */
  readonly configRetryMs: number;
  now(): number;
  /** Why its image cannot be had; undefined: it is there. */
  pullError(spec: ContainerSpec): string | undefined;
  /** @throws ConfigError */
  writeVolumes(): void;
  /** @throws ConfigError */
  handlerContext(spec: ContainerSpec): HandlerContext;
  command(spec: ContainerSpec, context: HandlerContext): Omit<ProcessOptions, 'onLine'>;
  /** A fault on request: how late readiness is reported. */
  readinessDelayMs(): number;
  deadline(ms: number): Deadline;
  event(type: 'Normal' | 'Warning', reason: string, message: string, container: string): void;
  onLine(container: string, line: string): void;
  changed(): void;
}
