/**
 * What follows a decision outside this process: the patch, the shares, and what people see of it (Events, log,
 * metrics). Followers decide too, so whatever is not the leader's to say is held back here.
 */
import type { Log } from '../../common/runtime/log.ts';
import { encodeMessage, type ShareMessage } from '../../common/bus/messages.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { functionSubject, type FunctionId } from '../../common/bus/subjects.ts';
import { CANARY_END_ANNOTATION, canaryEndText } from '../../common/function/canary-end.ts';
import type { Decision } from '../decide/types.ts';
import { createEventSink } from './events.ts';
import type { OnFaults } from '../faults/faults.ts';
import type { KubeWriter, ScaleOutcome, ScaleRequest } from '../world/kube.ts';
import type { Workload } from '../world/kube-objects.ts';

export interface ReconcileEffects {
  readonly scale: (request: ScaleRequest) => Promise<ScaleOutcome>;
  readonly publishShares: (id: FunctionId, message: ShareMessage) => void;
  readonly isLeader: () => boolean;
  /** A decision that differs from the last one, leader or not. */
  readonly onDecision: (workload: Workload, decision: Decision) => void;
  /** A replica count was changed; `wakeMs`: since the wake that caused it arrived. */
  readonly onScaled: (workload: Workload, decision: Decision, wakeMs: number | undefined) => void;
  /** This version of the canary gets no calls any more. */
  readonly rollBack: (workload: Workload, why: string) => Promise<void>;
  /** All that is wrong with a function, whenever it has changed. */
  readonly onFaults: OnFaults;
}

/** Counts what was done. */
export interface EffectMetrics {
  decided(workload: Workload, kind: string): void;
  wokenAfter(seconds: number): void;
  rolledBack(workload: Workload): void;
  /** A Kubernetes Event was not written, because its workload has had too many. */
  eventDropped(): void;
}

export interface EffectDeps {
  readonly writer: KubeWriter;
  readonly nats: Pick<NatsLink, 'publish'>;
  readonly metrics: EffectMetrics;
  readonly isLeader: () => boolean;
  readonly now: () => number;
  readonly log: Log;
}

export function createEffects({ writer, nats, metrics, isLeader, now, log }: EffectDeps): ReconcileEffects {
  const events = createEventSink(writer, { now, log, onDropped: () => metrics.eventDropped() });
  return {
    isLeader,
    scale: (request) => writer.scale(request),
    publishShares: (id, message) => void nats.publish(functionSubject('share', id), encodeMessage(message)),
    onDecision(workload, decision) {
      log.debug({ function: workload.key, decision: decision.kind }, decision.reason);
      if (decision.kind === 'blocked' && isLeader())
        events.emit(workload, { type: 'Warning', reason: 'ScalingBlocked', message: decision.reason });
    },
    onScaled(workload, decision, wakeMs) {
      const message = `${workload.replicas} → ${decision.wanted}: ${decision.reason}`;
      log.info({ function: workload.key, kind: decision.kind, wakeMs }, message);
      events.emit(workload, { type: 'Normal', reason: eventReason(decision.kind), message });
      metrics.decided(workload, decision.kind);
      if (wakeMs !== undefined) metrics.wokenAfter(wakeMs / 1_000);
    },
    async rollBack(workload, why) {
      const at = new Date(now()).toISOString();
      await writer.annotate(workload, {
        [CANARY_END_ANNOTATION]: canaryEndText({ revision: workload.revision, at, why, isPromoted: false }),
      });
      log.warn({ function: workload.key }, `the canary is rolled back: ${why}`);
      metrics.rolledBack(workload);
    },
    onFaults(workload, faults) {
      if (!isLeader()) return;
      for (const { reason, message } of faults) {
        log.warn({ function: workload.key }, message);
        events.emit(workload, { type: 'Warning', reason, message });
      }
    },
  };
}

/** Event reasons are CamelCase: `scale-up` → `ScaleUp`. */
function eventReason(kind: string): string {
  return kind.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
