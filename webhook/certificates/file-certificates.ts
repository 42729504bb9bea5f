/**
 * Certificates that somebody else makes, cert-manager above all: a folder with `tls.crt` and `tls.key`, as a
 * mounted Secret has them. Its owner fills caBundle too (cert-manager: the annotation
 * `cert-manager.io/inject-ca-from` on the webhook configuration). Files are read again at each check.
 */
import { join } from 'node:path';
import { readKeyPair, type CertificateSource } from '../../common/tls/key-pair.ts';

export function fileCertificates(dir: string): CertificateSource {
  return { check: () => readKeyPair(join(dir, 'tls.crt'), join(dir, 'tls.key')) };
}
