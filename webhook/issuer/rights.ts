/**
 * What a client may do on NATS, and in which account. The one place where it is decided; what is decided is the table of
 * common/bus/permissions.ts. Pure.
 */
import { rolePermissions, sidecarPermissions, type BusClient } from '../../common/bus/permissions.ts';
import { CONTRACT } from '../../common/identity/messages.ts';
import type { NatsPermissions } from '../../common/identity/nats-jwt.ts';
import type { Nkey } from '../../common/identity/nkey.ts';
import type { IdentityKeys } from './identity-keys.ts';

/** @see CONTRACT */
export type Client = BusClient & { readonly contract?: number | undefined };

export interface Rights {
  readonly account: Nkey;
  /** Signs users of that account. */
  readonly signer: Nkey;
  readonly permissions: NatsPermissions;
}

const EVERYTHING: NatsPermissions = { publish: {}, subscribe: {} };

/** A sidecar of the version before does things that no sidecar may do any more. */
export class OldContractError extends Error {
  readonly code = 'old-sidecar';
}

/**
 * @param allowsOld sidecars of the version before get every right, as they had there
 * @throws OldContractError
 */
export function rightsOf(client: Client, keys: IdentityKeys, allowsOld: boolean): Rights {
  const core = { account: keys.account, signer: keys.signer };
  if (client.role !== 'sidecar') return { ...core, permissions: rolePermissions(client.role) };
  if (isOld(client)) {
    if (allowsOld) return { ...core, permissions: EVERYTHING };
    throw new OldContractError(
      'this sidecar is of an older version, which needs every right on NATS; that is no longer given: restart its workload, or set oldSidecars',
    );
  }
  return {
    account: keys.functions,
    signer: keys.functionsSigner,
    permissions: sidecarPermissions(client),
  };
}

export function isOld({ role, contract = 1 }: Client): boolean {
  return role === 'sidecar' && contract < CONTRACT;
}
