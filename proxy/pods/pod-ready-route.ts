/**
 * `POST /pod-ready/<namespace>/<function>`: a sidecar's own `ready`, before Kubernetes and NATS would bring it. Anybody
 * may send one; only what proves to come from a pod that the watch knows is believed. What is said to all others: 404
 * for a pod that is not known (yet), 403 for a wrong proof.
 */
import type Router from 'koa-router';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import { readBody } from '../../common/relay/server/read-text.ts';
import { decodeReady, type ReadyMessage } from '../../common/bus/messages.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Endpoints } from './endpoints.ts';

/** Names of at most 253 characters, an address, a proof, and room for newer fields. */
const MAX_READY_BYTES = 4_096;
const STATUS = { believed: 204, unknown: 404, unproven: 403 } as const;

export interface PodReadyDeps {
  readonly endpoints: Pick<Endpoints, 'heardDirectly'>;
  /** For the scaler and the other proxies. */
  readonly passOn: (id: FunctionId, message: Uint8Array) => void;
}

export function addPodReadyRoute(router: Router, { endpoints, passOn }: PodReadyDeps): void {
  router.post('/pod-ready/:namespace/:name', async (ctx) => {
    const id = { namespace: ctx.params['namespace'] ?? '', name: ctx.params['name'] ?? '' };
    const body = await readBody(ctx.req, MAX_READY_BYTES, tooLarge);
    const result = endpoints.heardDirectly(id, decode(body));
    if (result === 'believed') passOn(id, body);
    ctx.body = null; // makes it 204
    ctx.status = STATUS[result];
  });
}

function decode(body: Buffer): ReadyMessage {
  try {
    return decodeReady(body);
  } catch (error) {
    throw new ReasonError('bad-request', `not a ready message: ${describeError(error)}`);
  }
}

function tooLarge(): ReasonError {
  return new ReasonError('body-too-large', `a ready message has at most ${MAX_READY_BYTES} bytes`);
}
