/** Publishers, functions that subscribe, and pods with real sidecars: events from the request to the app. */
import { BODIES_STREAM, EVENTS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { waitFor } from '../../helpers/wait.ts';
import type { TestSidecar } from '../../sidecar/support/sidecar.ts';
import { callUrl, type Answer, type CallOptions } from './calls.ts';
import { startJobProxy, type JobProxy } from './job-proxy.ts';
import type { JobSettings } from '../../../common/queue/settings.ts';

export interface EventWorld extends JobProxy {
  publish(path: string, options?: CallOptions): Promise<Answer>;
  /** A pod of the function that hears `events`, ready for the proxy and for events. */
  addPod(
    name: string,
    appPort: number,
    events: string,
    flags?: Record<string, string | number>,
  ): Promise<TestSidecar>;
  /** Pods that read events. */
  readers(): Promise<string[]>;
  /** Large bodies in the store. */
  bodies(): Promise<number>;
}

export async function startEventWorld(
  flags: readonly string[] = [],
  settings: Partial<JobSettings> = {},
): Promise<EventWorld> {
  const jobs = await startJobProxy(flags, settings);
  const pods = new Map<string, number>();
  const readers = async (): Promise<string[]> => {
    const names: string[] = [];
    for await (const { name } of jobs.jsm.consumers.list(EVENTS_STREAM)) names.push(name);
    return names;
  };
  return {
    ...jobs,
    readers,
    async bodies() {
      const { state } = await jobs.jsm.streams.info(BODIES_STREAM, { subjects_filter: '>' }); // one subject a body
      return Object.keys(state.subjects ?? {}).length;
    },
    publish: (path, options = {}) =>
      callUrl(`${jobs.proxy.url}/publish-event/${path}`, { method: 'POST', ...options }),
    async addPod(name, appPort, events, more = {}) {
      const known = new Set(await readers());
      const nth = (pods.get(name) ?? 0) + 1;
      pods.set(name, nth);
      const pod = `${name}-pod-${nth}`;
      const given = { 'pod-name': pod, 'subscribe-events': events, ...more };
      const sidecar = await jobs.sidecar(name, appPort, given);
      await waitFor(async () => (await readers()).some((reader) => !known.has(reader)), {
        what: `${pod} reads events`,
      });
      jobs.proxy.setPod(name, pod, ownAddress());
      await waitFor(async () => (await readyPods(jobs, name)) === nth, { what: `${pod} is ready` });
      return sidecar;
    },
  };
}

async function readyPods(t: JobProxy, name: string): Promise<number> {
  const response = await fetch(`${t.proxy.url}/status-function/${name}`);
  const [status] = (await response.json()) as { NumberReady: number }[];
  return status?.NumberReady ?? 0;
}
