/** An issuer of tokens on this machine: its discovery document, its keys, and tokens that it signs. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';

export interface TokenIssuer extends AsyncDisposable {
  readonly url: string;
  readonly fetches: number;
  isDown: boolean;
  /** What is published; rotate() changes it. */
  keys: readonly JWK[];
  /** Makes another key, which replaces those before, or stands beside them. */
  rotate(how?: { readonly isBeside?: boolean; readonly kid?: string | undefined }): Promise<void>;
  /** Signed with the newest key. */
  token(claims: Record<string, unknown>, expires?: string | number): Promise<string>;
  /** Answers nothing until it is called, from now on. */
  hang(): () => void;
}

interface OwnKey {
  readonly privateKey: CryptoKey;
  readonly header: { readonly alg: string; readonly kid?: string };
}

/** @param kid of its first key; undefined: the key has no name, and no token names one */
export async function startTokenIssuer(kid: string | undefined = '0'): Promise<TokenIssuer> {
  let fetches = 0;
  let hanging: Promise<void> = Promise.resolve();
  let own: OwnKey | undefined;
  const answer = async (path: string): Promise<string> => {
    fetches++;
    await hanging;
    if (self.isDown) throw new Error('down');
    if (path === '/.well-known/openid-configuration')
      return JSON.stringify({ issuer: self.url, jwks_uri: `${self.url}/keys` });
    return JSON.stringify({ keys: self.keys });
  };
  const server: Server = createServer((req, res) => {
    answer(req.url ?? '').then(
      (body) => res.end(body),
      () => res.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const self: TokenIssuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    isDown: false,
    keys: [],
    get fetches() {
      return fetches;
    },
    async rotate({ isBeside = false, ...named } = {}) {
      const name = 'kid' in named ? named.kid : String(fetches + Math.random());
      const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
      own = { privateKey, header: { alg: 'ES256', ...(name === undefined ? {} : { kid: name }) } };
      self.keys = [...(isBeside ? self.keys : []), { ...(await exportJWK(publicKey)), ...own.header }];
    },
    token(claims, expires = '5m') {
      if (!own) throw new Error('it has no key');
      const jwt = new SignJWT({ iss: self.url, ...claims }).setProtectedHeader(own.header);
      return jwt.setExpirationTime(expires).sign(own.privateKey);
    },
    hang() {
      const { promise, resolve } = Promise.withResolvers<void>();
      hanging = promise;
      return resolve;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  await self.rotate({ kid });
  return self;
}
