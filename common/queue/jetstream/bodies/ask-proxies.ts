/** A sidecar asks the proxies for what its own rights do not reach (body-wish.ts). */
import type { NatsConnection } from '../../../bus/nats.ts';
import { functionSubject, type FunctionId } from '../../../bus/subjects.ts';
import { decodeChunk, encodeWish, type BodyWish, type ReadChunk } from '../../body-wish.ts';

/** A proxy asks JetStream in turn. */
const PROXY_ASK_MS = 5_000;

/** @throws NatsError when no proxy answers */
export async function askForChunk(
  connection: NatsConnection,
  id: FunctionId,
  wish: BodyWish & { readonly kind: 'read' },
): Promise<ReadChunk> {
  return decodeChunk(await ask(connection, id, wish));
}

/** @throws NatsError when no proxy answers */
export async function askToRemove(connection: NatsConnection, id: FunctionId, name: string): Promise<void> {
  await ask(connection, id, { kind: 'remove', name });
}

async function ask(connection: NatsConnection, id: FunctionId, wish: BodyWish): Promise<Uint8Array> {
  return (
    await connection.request(functionSubject('body-wish', id), encodeWish(wish), { timeout: PROXY_ASK_MS })
  ).data;
}
