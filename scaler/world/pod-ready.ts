/** Answers sidecars that ask whether Kubernetes calls their pod ready; every replica does, as each watches pods. */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Asker } from '../../common/bus/asks.ts';
import { decodePodReadyQuestion, encodePodReadyAnswer } from '../../common/bus/pod-ready.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { WorldView } from './world.ts';

/** Undefined: another one may know the pod. */
export function answerPodReady(
  world: Pick<WorldView, 'workload' | 'podsOf'>,
  { id, pod }: Asker,
): Uint8Array | undefined {
  const workload = world.workload(functionKey(id));
  const isReady = workload && world.podsOf(workload).get(pod)?.isReady;
  return isReady === undefined ? undefined : encodePodReadyAnswer(isReady);
}

/** The same, of a sidecar of a version that asks on the shared subject and names its pod in the message. */
export function answerSharedPodReady(
  world: Pick<WorldView, 'workload' | 'podsOf'>,
  data: Uint8Array,
  log: Log,
): Uint8Array | undefined {
  try {
    return answerPodReady(world, decodePodReadyQuestion(data));
  } catch (error) {
    log.warn({ error: describeError(error) }, 'question not understood');
    return undefined;
  }
}
