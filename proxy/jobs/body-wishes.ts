/**
 * What sidecars ask about large bodies (common/queue/body-wish.ts). Their subject names the function, and NATS lets each
 * sidecar use its own alone. So a body is removed for the function that it is of, and for nobody else. One proxy answers.
 */
import {
  everyFunction,
  functionKey,
  parseFunctionSubject,
  type FunctionId,
} from '../../common/bus/subjects.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { isBodyOf, isOldBodyName } from '../../common/queue/body.ts';
import { decodeWish, encodeChunk, REMOVED, type BodyWish } from '../../common/queue/body-wish.ts';
import type { Queue, QueueLink } from '../../common/queue/queue.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';

/** At once, of 128 KiB each; beyond it there is no answer, and the sidecar asks again. */
const AT_ONCE_MAX = 64;
const PROXIES = 'proxies';

export interface BodyWishDeps {
  readonly nats: Pick<NatsLink, 'serve'>;
  readonly queue: Pick<QueueLink, 'live'>;
  readonly log: Log;
}

export class BodyWishes {
  readonly #deps: BodyWishDeps;
  readonly #release: () => void;
  #atOnce = 0;

  constructor(deps: BodyWishDeps) {
    this.#deps = deps;
    this.#release = deps.nats.serve(
      everyFunction('body-wish'),
      (data, subject) => this.#answer(data, subject),
      PROXIES,
    );
  }

  /** Asked and not answered yet. */
  get open(): number {
    return this.#atOnce;
  }

  stop(): void {
    this.#release();
  }

  async #answer(data: Uint8Array, subject: string): Promise<Uint8Array | undefined> {
    const { queue, log } = this.#deps;
    const id = parseFunctionSubject(subject)?.id;
    if (!id || !queue.live || this.#atOnce >= AT_ONCE_MAX) return undefined;
    this.#atOnce += 1;
    try {
      return await grant(queue.live, id, decodeWish(data));
    } catch (error) {
      log.info({ function: functionKey(id), error: describeError(error) }, 'a wish about a body is not met');
      return undefined;
    } finally {
      this.#atOnce -= 1;
    }
  }
}

async function grant(queue: Queue, id: FunctionId, wish: BodyWish): Promise<Uint8Array> {
  const { kind, name } = wish;
  const isOld = isOldBodyName(name);
  if (kind === 'read') {
    if (!isOld) throw new Error(`body ${name} is to be read by its subject`);
    return encodeChunk(await queue.bodyChunk(name, wish.after));
  }
  if (!isOld && !isBodyOf(id, name)) throw new Error(`body ${name} is another function's`);
  await queue.removeBody(name);
  return REMOVED;
}
