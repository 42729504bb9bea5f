/**
 * The one exchange between a pod and the issuer: `POST /exchange`, JSON both ways. Both sides ignore fields that they do
 * not know.
 */
import { createHmac } from 'node:crypto';

export const EXCHANGE_PATH = '/exchange';
/** Of service account tokens that are for us alone. */
export const TOKEN_AUDIENCE = 'slimfaas';

export interface ExchangeRequest {
  /** The pod's projected service account token, of audience {@link TOKEN_AUDIENCE}. */
  readonly token: string;
  /** The user's public key of NATS, whose seed stays with the client. */
  readonly user: string;
  /** What a sidecar says that it is of, with what the webhook wrote into its environment as a proof. */
  readonly function?: string;
  readonly grant?: string;
}

export interface ExchangeAnswer {
  readonly jwt: string;
  /** When the JWT ends, in milliseconds since 1970. */
  readonly expires: number;
  /** CA certificates that NATS and the issuer are known by from now on, PEM. */
  readonly ca: string;
  /** For a sidecar: what proves a proxy to it (see {@link relayKey}), base64url. */
  readonly relayKey?: string;
  /** For a proxy: what {@link relayKey} is made of, base64url. */
  readonly relayMaster?: string;
}

/** The key of one pod. Whoever has it can make no other pod's. */
export function relayKey(master: string, podUid: string): string {
  return createHmac('sha256', Buffer.from(master, 'base64url')).update(podUid).digest('base64url');
}
