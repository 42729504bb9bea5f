/**
 * The server's own certificate authority and a server certificate signed by it (ECDSA P-256). They are made again at
 * each start, valid for a year, and kept in memory only.
 */
import { randomBytes, webcrypto } from 'node:crypto';

export interface ServerIdentity {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const YEAR_MS = 365 * 24 * 3_600_000;
/** What a pod of a real cluster may call the API by. */
const API_NAMES = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)!.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/** 2 hex digits of zero in front: the serial number must be positive. */
function serialNumber(): string {
  return `00${randomBytes(15).toString('hex')}`;
}

type X509 = typeof import('../../../../common/tls/x509-library.ts').x509;

function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  // A minute back, for a client whose clock is a little behind.
  return { notBefore: new Date(now - 60_000), notAfter: new Date(now + YEAR_MS) };
}

function createAuthority(x509: X509, keys: webcrypto.CryptoKeyPair) {
  return x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    serialNumber: serialNumber(),
    // Unique, since verifiers look for an issuer by name.
    name: `CN=slimfaas-local-ca-${randomBytes(4).toString('hex')}`,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
}

/** A certificate for these addresses and names; clients are given the authority's. */
export async function createServerIdentity(
  ipAddresses: readonly string[],
  dnsNames: readonly string[] = API_NAMES,
): Promise<ServerIdentity> {
  // Loaded here: it costs 120 ms.
  const { x509 } = await import('../../../../common/tls/x509-library.ts');
  const [caKeys, keys] = await Promise.all([generateKeys(), generateKeys()]);
  const ca = await createAuthority(x509, caKeys);
  const names = [
    ...dnsNames.map((value) => ({ type: 'dns', value }) as const),
    ...ipAddresses.map((value) => ({ type: 'ip', value }) as const),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(),
    serialNumber: serialNumber(),
    subject: 'CN=slimfaas-local-api',
    issuer: ca.subject,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    ],
  });
  return {
    caPem: `${ca.toString('pem')}\n`,
    certPem: certificate.toString('pem'),
    keyPem: await toPem(keys.privateKey),
  };
}
