/** A user's container that speaks HTTPS, with a certificate that nobody trusts. */
import { createServer } from 'node:https';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import { App } from './app.ts';

const validity = { nowMs: Date.now(), validMs: 3_600_000 };
const { certificate, key } = await issueCertificate(await createAuthority(validity), ['x.example'], validity);

export class TlsApp extends App {
  protected override serve(handle: (req: IncomingMessage, res: ServerResponse) => void): Server {
    return createServer({ cert: certificate, key }, handle) as unknown as Server;
  }
}
