/** Secrets that a namespace lets the scaler read, one by one and by name. */
import { within } from '../../common/kube/within.ts';
import { REQUEST_TIMEOUT_MS, type ScalerClients } from './kube.ts';

/** @returns values by key. Rejects with the API server's status as `code`. */
export function secretReader({ core }: Pick<ScalerClients, 'core'>) {
  const inTime = within(REQUEST_TIMEOUT_MS);
  return async (namespace: string, name: string): Promise<Record<string, string>> => {
    const { data = {} } = await core.readNamespacedSecret({ namespace, name }, inTime);
    const decoded = Object.entries(data).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString(),
    ]);
    return Object.fromEntries(decoded) as Record<string, string>;
  };
}
