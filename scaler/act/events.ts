/**
 * Kubernetes Events about workloads, few enough to be read. The same message comes at most every ten minutes, and at
 * most twenty per workload in that time. So a workload that flaps does not fill etcd. What is dropped is in the log
 * and in the metrics.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { KubeEvent, KubeWriter } from '../world/kube.ts';
import type { Workload } from '../world/kube-objects.ts';

const WINDOW_MS = 600_000;
const EVENTS_PER_WINDOW = 20;

export interface KubeEventSink {
  emit(workload: Workload, event: KubeEvent): void;
}

export interface KubeEventSinkOptions {
  readonly now: () => number;
  readonly log: Log;
  /** A workload has had its twenty. */
  readonly onDropped: () => void;
}

export function createEventSink(
  writer: Pick<KubeWriter, 'emit'>,
  { now, log, onDropped }: KubeEventSinkOptions,
): KubeEventSink {
  const sent = new Map<string, Map<string, number>>();
  let sweptAtMs = now();

  const sweep = (nowMs: number) => {
    if (nowMs - sweptAtMs < WINDOW_MS) return;
    sweptAtMs = nowMs;
    for (const [key, messages] of sent) {
      for (const [text, atMs] of messages) if (nowMs - atMs >= WINDOW_MS) messages.delete(text);
      if (messages.size === 0) sent.delete(key);
    }
  };
  return {
    emit(workload, event) {
      const nowMs = now();
      sweep(nowMs);
      const messages = sent.get(workload.uid) ?? new Map<string, number>();
      sent.set(workload.uid, messages);
      const text = `${event.reason} ${event.message}`;
      const last = messages.get(text);
      if (last !== undefined && nowMs - last < WINDOW_MS) return;
      if (last === undefined && messages.size >= EVENTS_PER_WINDOW) return onDropped();
      messages.set(text, nowMs);
      writer.emit(workload, event).catch((error: unknown) => {
        log.debug({ function: workload.key, error: describeError(error) }, 'event not written');
      });
    },
  };
}
