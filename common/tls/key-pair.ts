/**
 * A certificate with its key, and how it is read from two files.
 *
 * Room `common/tls`: Certificates: load, check, follow.
 * Comes in: PEM files or Secrets.
 * Goes out: a key pair, and a call when it changes.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** PEM. */
export interface KeyPair {
  /** With its chain, where it has one. */
  readonly certificate: string;
  readonly key: string;
}

/** Where the certificate to serve comes from. */
export interface CertificateSource {
  /** Brings everything up to date and returns what is to be served from now on. */
  check(): Promise<KeyPair>;
}

/** @throws what reading throws, and for a key that is not the certificate's */
export async function readKeyPair(certificateFile: string, keyFile: string): Promise<KeyPair> {
  const [certificate, key] = await Promise.all([
    readFile(certificateFile, 'utf8'),
    readFile(keyFile, 'utf8'),
  ]);
  // A mounted Secret changes as a whole, a folder written by hand may be read half-way through a change.
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
    throw new Error(`${keyFile} is not the key of ${certificateFile}`);
  return { certificate, key };
}
