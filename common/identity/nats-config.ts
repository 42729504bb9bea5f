/**
 * What a NATS server is told so that it believes our JWTs: the operator's JWT, and the accounts' by memory resolver,
 * which servers of 2.9 have too. Certificates are not in here: they are named by the server's own flags. Pure.
 */

export interface NatsTrust {
  readonly operatorJwt: string;
  /** Public keys. */
  readonly systemAccount: string;
  /** Public key → JWT. */
  readonly accounts: Readonly<Record<string, string>>;
}

/** The text of a configuration file, or of a part of one. */
export function natsConfig({ operatorJwt, systemAccount, accounts }: NatsTrust): string {
  const preload = Object.entries(accounts).map(([account, jwt]) => `  ${account}: ${jwt}`);
  return [
    `operator: ${operatorJwt}`,
    `system_account: ${systemAccount}`,
    'resolver: MEMORY',
    'resolver_preload: {',
    ...preload,
    '}',
    '',
  ].join('\n');
}
