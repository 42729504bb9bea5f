/** Dead letters over HTTP, on the metrics port alone: they show other people's requests, and replaying runs them. */
import type Router from 'koa-router';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { Asking, Gate, AccessQuestion } from '../../common/access/gate.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';

export interface DeadRoutesDeps {
  readonly dead: DeadLetters;
  readonly gate: Gate;
  /** `name` or `name.namespace`, as on the function routes; the function may be gone by now. */
  readonly idOf: (name: string) => FunctionId;
}

export function addDeadRoutes(router: Router, { dead, idOf, gate }: DeadRoutesDeps): void {
  const check = (ctx: { req: Asking }, verb: AccessQuestion['verb'], fn?: FunctionId): Promise<void> =>
    gate.check(ctx.req, { verb, subresource: 'deadletters', ...fn });
  /** The letter's number, once its function is known to be one that the caller may do this to. */
  const allowed = async (
    ctx: { req: Asking; params: Params },
    verb: AccessQuestion['verb'],
  ): Promise<number> => {
    const seq = sequenceOf(ctx.params['seq']);
    if (!gate.isClosed) return seq;
    const fn = await dead.functionOf(seq);
    await check(ctx, verb, fn).catch((error: unknown) => {
      if (!fn || !(error instanceof ReasonError) || error.code !== 'forbidden') throw error;
      unknownLetter(String(seq)); // that there is one would say something of another's function
    });
    return fn ? seq : unknownLetter(String(seq));
  };
  router.get('/dead-jobs', async (ctx) => {
    const { function: name, after = '0' } = ctx.query;
    const fn = typeof name === 'string' && name !== '' ? idOf(name) : undefined;
    await check(ctx, 'list', fn);
    ctx.body = await dead.list(fn, sequenceOf(String(after), 0));
  });
  router.get('/dead-jobs/:seq', async (ctx) => {
    ctx.body = (await dead.show(await allowed(ctx, 'get'))) ?? unknownLetter(ctx.params['seq']);
  });
  router.post('/dead-jobs/:seq/replay', async (ctx) => {
    const replayed = await dead.replay(await allowed(ctx, 'create'));
    if (!replayed) return unknownLetter(ctx.params['seq']);
    const { fn, id } = replayed;
    ctx.status = 201;
    ctx.body = { id, namespace: fn.namespace, function: fn.name };
  });
  router.delete('/dead-jobs/:seq', async (ctx) => {
    if (!(await dead.drop(await allowed(ctx, 'delete')))) return unknownLetter(ctx.params['seq']);
    ctx.status = 204;
  });
}

type Params = Readonly<Record<string, string | undefined>>;

function sequenceOf(text: string | undefined, min = 1): number {
  const value = /^\d{1,15}$/.test(text ?? '') ? Number(text) : -1;
  if (value >= min) return value;
  throw new ReasonError('bad-request', `${JSON.stringify(text)} is not the number of a dead letter`);
}

function unknownLetter(seq: string | undefined): never {
  throw new ReasonError('unknown-job', `no dead letter ${seq}; GET /dead-jobs lists those there are`);
}
