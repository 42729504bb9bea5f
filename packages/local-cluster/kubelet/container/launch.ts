/** One start of a container: its process, its log, and what the kubelet says of it in Events. */
import type { HandlerContext } from './handlers.ts';
import type { LogBuffer } from './logs.ts';
import type { PlannedContainer } from '../pods/pod-spec.ts';
import { startProcess, type ContainerProcess } from './process.ts';
import type { PodRuntime } from '../pods/runtime.ts';

/** @throws StartError (as a rejection) */
export async function launch(
  spec: PlannedContainer['spec'],
  pod: PodRuntime,
  handlers: HandlerContext,
  log: LogBuffer,
): Promise<ContainerProcess> {
  const say = (reason: string, message: string) => pod.event('Normal', reason, message, spec.name);
  say('Pulled', `Container image "${spec.image}" already present on machine`);
  try {
    const process = await startProcess({
      ...pod.command(spec, handlers),
      onLine: (line) => {
        log.push(line);
        pod.onLine(spec.name, line);
      },
    });
    void process.outputEnded.then(() => log.end());
    say('Created', `Created container: ${spec.name}`);
    say('Started', `Started container ${spec.name}`);
    return process;
  } catch (error) {
    log.end();
    throw error;
  }
}
