/** Dead letters over HTTP, on the metrics port alone: they show other people's requests, and replaying runs them. */
import type Router from 'koa-router';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';

export interface DeadRoutesDeps {
  readonly dead: DeadLetters;
  /** `name` or `name.namespace`, as on the function routes; the function may be gone by now. */
  readonly idOf: (name: string) => FunctionId;
}

export function addDeadRoutes(router: Router, { dead, idOf }: DeadRoutesDeps): void {
  router.get('/dead-jobs', async (ctx) => {
    const { function: name, after = '0' } = ctx.query;
    const fn = typeof name === 'string' && name !== '' ? idOf(name) : undefined;
    ctx.body = await dead.list(fn, sequenceOf(String(after), 0));
  });
  router.get('/dead-jobs/:seq', async (ctx) => {
    ctx.body = (await dead.show(sequenceOf(ctx.params['seq']))) ?? unknownLetter(ctx.params['seq']);
  });
  router.post('/dead-jobs/:seq/replay', async (ctx) => {
    const replayed = await dead.replay(sequenceOf(ctx.params['seq']));
    if (!replayed) return unknownLetter(ctx.params['seq']);
    const { fn, id } = replayed;
    ctx.status = 201;
    ctx.body = { id, namespace: fn.namespace, function: fn.name };
  });
  router.delete('/dead-jobs/:seq', async (ctx) => {
    if (!(await dead.drop(sequenceOf(ctx.params['seq'])))) return unknownLetter(ctx.params['seq']);
    ctx.status = 204;
  });
}

function sequenceOf(text: string | undefined, min = 1): number {
  const value = /^\d{1,15}$/.test(text ?? '') ? Number(text) : -1;
  if (value >= min) return value;
  throw new ReasonError('bad-request', `${JSON.stringify(text)} is not the number of a dead letter`);
}

function unknownLetter(seq: string | undefined): never {
  throw new ReasonError('unknown-job', `no dead letter ${seq}; GET /dead-jobs lists those there are`);
}
