/**
 * The proxy's activity reports. It sends one each second, for each function with calls waiting or running. It sends
 * one at once when those that waited for a first pod are served. Until then the scaler counts them as waiting, while
 * their pod's sidecar counts them as running already. One caller would look like two, and get two pods.
 */
import { encodeMessage } from '../../common/bus/messages.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { functionSubject } from '../../common/bus/subjects.ts';
import { every, type Clock } from '../clock.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Account } from './account.ts';

const REPORT_MS = 1_000;

/** What a report says of a function. */
interface Reported {
  readonly id: FunctionId;
  readonly account: Account;
  readonly waiting: number;
  /** Its function is split among canaries. */
  readonly isPart: boolean;
}

export type Report = (entry: Reported) => void;

export function createReport(nats: Pick<NatsLink, 'publish'>, podName: string): Report {
  return ({ id, account, waiting, isPart }) => {
    const message = account.report(podName, waiting, isPart);
    if (message) nats.publish(functionSubject('activity', id), encodeMessage(message));
  };
}

export interface ProxyReportOptions {
  readonly functions: () => Iterable<Reported>;
  readonly report: Report;
  readonly clock: Clock;
}

/** Returns its release, which sends a last report. */
export function reportActivity({ functions, report, clock }: ProxyReportOptions): () => void {
  const reportAll = (): void => {
    for (const entry of functions()) report(entry);
  };
  const cancel = every(clock, REPORT_MS, reportAll);
  return () => {
    cancel();
    reportAll();
  };
}
