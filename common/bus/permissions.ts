/** What each role may say and hear on NATS. For now everything. */
import type { NatsPermissions } from '../identity/nats-jwt.ts';

export interface SidecarIdentity {
  readonly namespace: string;
  readonly function: string;
  readonly pod: string;
}

type PartIdentity = Pick<SidecarIdentity, 'pod'>;

const EVERYTHING: NatsPermissions = { publish: {}, subscribe: {} };

export const sidecarPermissions: (sidecar: SidecarIdentity) => NatsPermissions = () => EVERYTHING;
export const proxyPermissions: (proxy: PartIdentity) => NatsPermissions = () => EVERYTHING;
export const scalerPermissions: (scaler: PartIdentity) => NatsPermissions = () => EVERYTHING;
