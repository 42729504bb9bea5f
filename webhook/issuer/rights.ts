/**
 * What a client may do on NATS, and in which account. The one place where it is decided; what is decided is the table of
 * common/bus/permissions.ts. Pure.
 */
import { rolePermissions, sidecarPermissions, type BusClient } from '../../common/bus/permissions.ts';
import { CONTRACT } from '../../common/identity/messages.ts';
import type { NatsPermissions } from '../../common/identity/nats-jwt.ts';
import type { SigningAccount } from './external-nats.ts';
import type { IdentityKeys } from './identity-keys.ts';

/** @see CONTRACT */
export type Client = BusClient & { readonly contract?: number | undefined };

export interface Rights extends SigningAccount {
  readonly permissions: NatsPermissions;
}

/** Who gets users in which account. */
export interface Accounts {
  readonly core: SigningAccount;
  /** The account that sidecars have alone; undefined: they are in the same one. */
  readonly functions: SigningAccount | undefined;
}

/** The accounts that the bundled servers know. */
export function ownAccounts(keys: IdentityKeys): Accounts {
  return {
    core: { account: keys.account.publicKey, signer: keys.signer },
    functions: { account: keys.functions.publicKey, signer: keys.functionsSigner },
  };
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
export function rightsOf(client: Client, { core, functions }: Accounts, allowsOld: boolean): Rights {
  if (client.role !== 'sidecar') return { ...core, permissions: rolePermissions(client.role) };
  if (isOld(client)) {
    if (allowsOld) return { ...core, permissions: EVERYTHING };
    throw new OldContractError(
      'the sidecar is of a version whose rights on NATS nobody has any more; restart its workload, or set oldSidecars',
    );
  }
  if (functions) return { ...functions, permissions: sidecarPermissions(client) };
  return { ...core, permissions: sidecarPermissions(client, 'with the proxies') };
}

export function isOld({ role, contract = 1 }: Client): boolean {
  return role === 'sidecar' && contract < CONTRACT;
}
