/**
 * The one exchange between a pod and the issuer: `POST /exchange`, JSON both ways. Both sides ignore fields that they do
 * not know.
 */
export const EXCHANGE_PATH = '/exchange';
/** Audience of the tokens that sidecars show to the issuer. */
export const TOKEN_AUDIENCE = 'slimfaas';
/** Audience of proxy's and scaler's. They also have tokens of the audience above, which they show to each other without TLS. */
export const PART_AUDIENCE = 'slimfaas-bus';

export interface TokenExchangeRequest {
  /** The pod's projected service account token, of audience {@link TOKEN_AUDIENCE} or {@link PART_AUDIENCE}. */
  readonly token: string;
  /** The user's public key of NATS, whose seed stays with the client. */
  readonly user: string;
  /** What a sidecar says that it is of, with what the webhook wrote into its environment as a proof. */
  readonly function?: string;
  readonly grant?: string;
  /** What a sidecar does on NATS, {@link CONTRACT} or an older one. Absent: 1. */
  readonly contract?: number | undefined;
}

/**
 * 1: a sidecar makes the consumer of its events, and does other things that need every right.
 * 2: it does what common/bus/permissions.ts lets it do.
 */
export const CONTRACT = 2;

export interface ExchangeAnswer {
  /** Empty where there are shared credentials. */
  readonly jwt: string;
  /** When the JWT ends, in milliseconds since 1970. */
  readonly expires: number;
  /** CA certificates that NATS and the issuer are known by from now on, PEM. */
  readonly ca: string;
  /** CA certificates that NATS alone is known by, PEM; empty: those that the system knows. Absent: {@link ca}. */
  readonly natsCa?: string;
  /** What others show to a NATS that is not ours too, instead of a JWT for this pod's own key. */
  readonly shared?: SharedCredentials;
  /** To be asked again after so many milliseconds at most. */
  readonly renewMs?: number;
}

/** `jwt`: of a credentials file, with the seed of its user. */
export type SharedCredentials =
  | { readonly kind: 'jwt'; readonly jwt: string; readonly seed: string }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'password'; readonly user: string; readonly password: string };
