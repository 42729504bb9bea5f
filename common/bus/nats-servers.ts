/**
 * Where a NATS server is, by its name and by a known address. The name is looked up at each connect, because a Service
 * that is deleted and created again has another address. The known address is tried first. A pod has it in its
 * environment from the start. So a start from zero waits for no lookup, and a pod that cannot resolve names
 * (`dnsPolicy` Default or None) needs none.
 */
import { isIP } from 'node:net';
import { sleep } from '../runtime/lifecycle.ts';

const PORT = 4222;
/** A server on the cluster's network answers in 1 ms; an address that is no more gives no answer at all. */
const DIAL_HEAD_START_MS = 250;

/** Each list in the order in which it is tried. */
export interface NatsServers {
  readonly named: readonly string[];
  /** The same, behind the address at hand; undefined without one. */
  readonly atHand: readonly string[] | undefined;
}

/**
 * @param servers `nats://host:4222`, several separated by commas
 * @param address an IP address of the first one. Anything else is as none: a variable that Kubernetes could not expand.
 */
export function natsServers(servers: string, address = ''): NatsServers {
  const named = servers
    .split(',')
    .map((server) => server.trim())
    .filter(Boolean);
  if (isIP(address) === 0) return { named, atHand: undefined };
  const host = isIP(address) === 6 ? `[${address}]` : address;
  const port = /:(\d+)\/?$/.exec(named[0] ?? '')?.[1] ?? PORT;
  return { named, atHand: [`nats://${host}:${port}`, ...named] };
}

interface Closable {
  close(): Promise<unknown>;
}

/**
 * Connects by the address at hand, and soon after by name as well; the first that succeeds is kept.
 * @throws what connecting by name threw, when both failed
 */
export async function connectFirst<C extends Closable>(
  { named, atHand }: NatsServers,
  connect: (servers: readonly string[]) => Promise<C>,
  headStartMs = DIAL_HEAD_START_MS,
): Promise<C> {
  if (!atHand) return connect(named);
  const isDone = new AbortController();
  const byAddress = connect(atHand);
  const failed = byAddress.then(
    () => new Promise<void>(() => undefined),
    () => undefined,
  );
  const byName = Promise.race([sleep(headStartMs, isDone.signal), failed]).then(() => {
    if (isDone.signal.aborted) throw new Error('not needed: the address was quicker');
    return connect(named);
  });
  try {
    const first = await Promise.any([byAddress, byName]);
    for (const other of [byAddress, byName])
      other.then((late) => late !== first && void late.close()).catch(() => undefined);
    return first;
  } catch (error) {
    throw (error as AggregateError).errors[1];
  } finally {
    isDone.abort();
  }
}
