/**
 * Making and reading certificates: @peculiar/x509 takes 120 ms to load, so it is loaded on first
 * use. ECDSA on P-256 throughout: small, quick to make, and accepted by every API server.
 */
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import type { KeyPair } from '../../common/tls/key-pair.ts';

export interface Validity {
  readonly nowMs: number;
  readonly validMs: number;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** An API server whose clock is behind ours must not find the certificate "not yet valid". */
const CLOCK_SKEW_MS = 5 * 60_000;

/** A CA's subject is unique: where two are trusted at once, a verifier finds the right one by name. */
export async function createAuthority(validity: Validity): Promise<KeyPair> {
  const { x509 } = await import('../../common/tls/x509-library.ts');
  const keys = await generateKeys();
  const serialNumber = newSerialNumber();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber,
    name: `CN=slimfaas-webhook-ca-${serialNumber.slice(-8)}`,
    ...dates(validity),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/** A server certificate for these DNS names. NATS servers show it to each other too, as clients. */
export async function issueCertificate(
  authority: KeyPair,
  dnsNames: readonly string[],
  validity: Validity,
): Promise<KeyPair> {
  const { x509 } = await import('../../common/tls/x509-library.ts');
  const keys = await generateKeys();
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    // No common name: it may have 64 characters at most, and verifiers read the alternative names only.
    subject: 'O=slimfaas',
    issuer: issuer.subjectName,
    ...dates(validity),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        dnsNames.map((value) => ({ type: 'dns' as const, value })),
        true,
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/** Milliseconds; throws on what is not a certificate. */
export function expiryOf(certificate: string): number {
  return new X509Certificate(certificate).validToDate.getTime();
}

export function isIssuedBy(certificate: string, authority: string): boolean {
  const issuer = new X509Certificate(authority);
  const subject = new X509Certificate(certificate);
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

export function isForNames(certificate: string, dnsNames: readonly string[]): boolean {
  const parsed = new X509Certificate(certificate);
  return dnsNames.every((name) => parsed.checkHost(name) !== undefined);
}

/** The certificates of a PEM bundle, each in PEM with one newline at its end. */
export function splitBundle(bundle: string): string[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block}\n`);
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  const lines = der.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
}

function dates({ nowMs, validMs }: Validity): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - CLOCK_SKEW_MS), notAfter: new Date(nowMs + validMs) };
}

/** 127 random bits: RFC 5280 wants a positive number of at most 20 octets. */
function newSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] as number) & 0x7f;
  return bytes.toString('hex');
}
