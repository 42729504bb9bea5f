/** The proxy's activity reports: each second, for each function with calls waiting or running. */
import { encodeMessage } from '../common/messages.ts';
import type { NatsLink } from '../common/nats.ts';
import { functionSubject } from '../common/subjects.ts';
import type { Clock } from './clock.ts';
import type { FunctionEntry } from './function-entry.ts';

const REPORT_MS = 1_000;

export interface ReportOptions {
  readonly functions: () => Iterable<FunctionEntry>;
  readonly nats: Pick<NatsLink, 'publish'>;
  readonly podName: string;
  readonly clock: Clock;
}

/** Returns its release, which sends a last report. */
export function reportActivity({ functions, nats, podName, clock }: ReportOptions): () => void {
  const report = (): void => {
    for (const { id, account, throttler } of functions()) {
      const message = account.report(podName, throttler.waiting);
      if (message) nats.publish(functionSubject('activity', id), encodeMessage(message));
    }
  };
  let cancel: () => void;
  const repeat = (): void => {
    report();
    cancel = clock.after(REPORT_MS, repeat);
  };
  cancel = clock.after(REPORT_MS, repeat);
  return () => {
    cancel();
    report();
  };
}
