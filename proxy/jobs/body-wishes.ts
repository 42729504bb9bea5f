/**
 * What sidecars ask about large bodies (common/queue/body-wish.ts). Their subject names the function, and NATS lets each
 * sidecar use its own alone. So a body is removed for the function that it is of, and for nobody else. A body of an event is
 * read for functions of its namespace that know its whole name. One proxy answers.
 */
import {
  everyFunction,
  functionKey,
  parseFunctionSubject,
  type FunctionId,
} from '../../common/bus/subjects.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { isBodyOf, isOldBodyName, isSharedWith } from '../../common/queue/body.ts';
import { decodeWish, encodeChunk, REMOVED, type BodyWish } from '../../common/queue/body-wish.ts';
import type { Queue, QueueLink } from '../../common/queue/queue.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { FewAtOnce } from '../../common/runtime/few-at-once.ts';
import type { Log } from '../../common/runtime/log.ts';

/** At once, of 128 KiB each. */
const AT_ONCE_MAX = 64;
/** In line: an event with a large body is read by many pods at once. Beyond it there is no answer, and a sidecar asks again. */
const IN_LINE_MAX = 512;
/** One function may hold three times what it leaves free of both together. */
const TIMES_FREE = 3;
const PROXIES = 'proxies';

export interface BodyWishDeps {
  readonly nats: Pick<NatsLink, 'serve'>;
  readonly queue: Pick<QueueLink, 'live'>;
  readonly log: Log;
}

export class BodyWishes {
  readonly #deps: BodyWishDeps;
  readonly #release: () => void;
  readonly #few = new FewAtOnce({ atOnce: AT_ONCE_MAX });
  /** Asked and not answered yet, by function. */
  readonly #held = new Map<string, number>();

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
    return this.#few.open;
  }

  stop(): void {
    this.#release();
  }

  async #answer(data: Uint8Array, subject: string): Promise<Uint8Array | undefined> {
    const { queue, log } = this.#deps;
    const id = parseFunctionSubject(subject)?.id;
    if (!id) return undefined;
    const key = functionKey(id);
    const held = this.#held.get(key) ?? 0;
    if (held >= TIMES_FREE * (AT_ONCE_MAX + IN_LINE_MAX - this.#few.open)) return undefined;
    this.#held.set(key, held + 1);
    try {
      const wish = decodeWish(data);
      return await this.#few.run(async () => queue.live && grant(queue.live, id, wish));
    } catch (error) {
      log.info({ function: key, error: describeError(error) }, 'a wish about a body is not met');
      return undefined;
    } finally {
      const left = (this.#held.get(key) ?? 1) - 1;
      if (left > 0) this.#held.set(key, left);
      else this.#held.delete(key);
    }
  }
}

async function grant(queue: Queue, id: FunctionId, wish: BodyWish): Promise<Uint8Array> {
  const { kind, name } = wish;
  if (kind === 'read') {
    if (!isSharedWith(id, name)) throw new Error(`body ${name} is not to be read by way of a proxy`);
    return encodeChunk(await queue.bodyChunk(name, wish.after));
  }
  if (!isOldBodyName(name) && !isBodyOf(id, name)) throw new Error(`body ${name} is another function's`);
  await queue.removeBody(name);
  return REMOVED;
}
