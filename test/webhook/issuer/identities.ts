/** Secrets and the ConfigMap in memory, with versions; each request takes a turn of the event loop. */
import { setImmediate as turn } from 'node:timers/promises';
import { StaleWriteError } from '../../../webhook/kube.ts';
import type { IdentityStores } from '../../../webhook/issuer/keep-identity.ts';

interface Cell {
  version: number;
  data: Readonly<Record<string, string>>;
}

export interface FakeStores {
  readonly stores: IdentityStores;
  readonly cells: Record<keyof IdentityStores, Cell | undefined>;
  readonly writes: { ok: number; stale: number };
}

export function fakeStores(): FakeStores {
  const cells: FakeStores['cells'] = {
    keys: undefined,
    certificates: undefined,
    nats: undefined,
    ca: undefined,
  };
  const writes = { ok: 0, stale: 0 };
  const read = async (name: keyof IdentityStores) => {
    await turn();
    const cell = cells[name];
    return { version: cell && String(cell.version), data: cell?.data ?? {} };
  };
  const write = async (name: keyof IdentityStores, data: Cell['data'], version: string | undefined) => {
    await turn();
    const cell = cells[name];
    if (version !== (cell && String(cell.version))) {
      writes.stale++;
      throw new StaleWriteError('stale');
    }
    writes.ok++;
    cells[name] = { version: (cell?.version ?? 0) + 1, data };
  };
  const secret = (name: keyof IdentityStores) => ({
    readSecret: () => read(name),
    writeSecret: (data: Cell['data'], version: string | undefined) => write(name, data, version),
  });
  const stores = {
    keys: secret('keys'),
    certificates: secret('certificates'),
    nats: secret('nats'),
    ca: {
      read: () => read('ca'),
      write: (data: Cell['data'], version: string | undefined) => write('ca', data, version),
    },
  };
  return { stores, cells, writes };
}
