/** What the scaler would hear: wakes, as they come. */
import { decodeWake, type WakeMessage } from '../../../common/bus/messages.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import type { TestProxy } from './test-proxy.ts';

export function collectWakes(t: TestProxy, fn: string, onWake?: (wake: WakeMessage) => void): WakeMessage[] {
  const wakes: WakeMessage[] = [];
  t.link.subscribe(functionSubject('wake', { namespace: 'default', name: fn }), (_subject, data) => {
    const wake = decodeWake(data);
    wakes.push(wake);
    onWake?.(wake);
  });
  return wakes;
}

/** Calls waiting or running as the status route shows them. */
export async function statusOf(
  t: { url: string },
  fn: string,
): Promise<{
  Waiting: number;
  Running: number;
  NumberReady: number;
  Pods: { State: string; Trouble?: string }[];
}> {
  const response = await fetch(`${t.url}/status-function/${fn}`);
  const [status] = (await response.json()) as [Awaited<ReturnType<typeof statusOf>>];
  return status;
}
