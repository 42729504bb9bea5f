/** Answers sidecars that ask whether Kubernetes calls their pod ready; every replica does, as each watches pods. */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { decodePodReadyQuestion, encodePodReadyAnswer } from '../../common/bus/pod-ready.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { WorldView } from './world.ts';

/** For NatsLink.serve. Undefined: another one may know the pod. */
export function answerPodReady(
  world: Pick<WorldView, 'workload' | 'podsOf'>,
  data: Uint8Array,
  log: Log,
): Uint8Array | undefined {
  try {
    const { id, pod } = decodePodReadyQuestion(data);
    const workload = world.workload(functionKey(id));
    const isReady = workload && world.podsOf(workload).get(pod)?.isReady;
    return isReady === undefined ? undefined : encodePodReadyAnswer(isReady);
  } catch (error) {
    log.warn({ error: describeError(error) }, 'question not understood');
    return undefined;
  }
}
