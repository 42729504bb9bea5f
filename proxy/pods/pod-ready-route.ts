/**
 * `POST /pod-ready/<namespace>/<function>`: a sidecar's own `ready`, before Kubernetes and NATS would bring it. Anybody
 * may send one; only what proves to come from a pod that the watch knows is believed. What is said to all others: 404
 * for a pod that is not known (yet), 403 for a wrong proof.
 *
 * With `state: starting` a pod asks before that how many callers there are. While some wait, it does first what their
 * calls need. The answer to both has the number.
 */
import type Router from 'koa-router';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import { readBody } from '../../common/relay/server/read-text.ts';
import { decodePosted, type ReadyMessage, type StartingMessage } from '../../common/bus/messages.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import { HEADER } from '../../common/function/names.ts';
import type { Endpoints } from './endpoints.ts';

/** Names of at most 253 characters, an address, a proof, and room for newer fields. */
const MAX_READY_BYTES = 4_096;
const STATUS = { believed: 204, unknown: 404, unproven: 403 } as const;

export interface PodReadyDeps {
  readonly endpoints: Pick<Endpoints, 'heardDirectly'>;
  readonly table: { get(id: FunctionId): { readonly everywhere: Callers } | undefined };
  /** For the scaler and the other proxies. */
  readonly passOn: (id: FunctionId, message: Uint8Array) => void;
}

interface Callers {
  readonly waiting: number;
  readonly running: number;
}

export function addPodReadyRoute(router: Router, { endpoints, table, passOn }: PodReadyDeps): void {
  router.post('/pod-ready/:namespace/:name', async (ctx) => {
    const id = { namespace: ctx.params['namespace'] ?? '', name: ctx.params['name'] ?? '' };
    const body = await readBody(ctx.req, MAX_READY_BYTES, tooLarge);
    const message = decode(body);
    const { waiting = 0, running = 0 } = table.get(id)?.everywhere ?? {}; // before those that wait are sent to the pod
    const result = endpoints.heardDirectly(id, message);
    if (result === 'believed' && message.state !== 'starting') passOn(id, body);
    if (result === 'believed') ctx.set(HEADER.callers, String(waiting + running));
    ctx.body = null; // makes it 204
    ctx.status = STATUS[result];
  });
}

function decode(body: Buffer): ReadyMessage | StartingMessage {
  try {
    return decodePosted(body);
  } catch (error) {
    throw new ReasonError('bad-request', `not a ready message: ${describeError(error)}`);
  }
}

function tooLarge(): ReasonError {
  return new ReasonError('body-too-large', `a ready message has at most ${MAX_READY_BYTES} bytes`);
}
