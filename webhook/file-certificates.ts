/**
 * Certificates that somebody else makes, cert-manager above all: a folder with `tls.crt` and `tls.key`, as a
 * mounted Secret has them. Its owner fills caBundle too (cert-manager: the annotation
 * `cert-manager.io/inject-ca-from` on the webhook configuration). Files are read anew at each check.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CertificateSource } from './own-certificates.ts';

export function fileCertificates(dir: string): CertificateSource {
  return {
    async check() {
      const [certificate, key] = await Promise.all([
        readFile(join(dir, 'tls.crt'), 'utf8'),
        readFile(join(dir, 'tls.key'), 'utf8'),
      ]);
      // A mounted Secret changes as a whole, a folder written by hand may be read half-way through a change.
      if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
        throw new Error(`tls.key is not the key of tls.crt in ${dir}`);
      return { certificate, key };
    },
  };
}
