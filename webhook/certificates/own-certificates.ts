/**
 * Certificates of our own making, shared by the replicas through one Secret. Every replica does the same work on its
 * own and none leads. A write that another one made first is answered by reading again. What a replica then finds is
 * already as it should be.
 *
 * Room `webhook/certificates`: The certificate of the webhook, and its rotation.
 * Comes in: a Secret or files.
 * Goes out: a key pair, a caBundle.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { CertificateSource, KeyPair } from '../../common/tls/key-pair.ts';
import { retryStale, type CertificateCluster, type StoredSecret } from '../kube.ts';
import { applyStep, nextStep, type Material, type RotationPolicy } from './rotation.ts';
import { expiryOf, splitBundle } from './x509.ts';

export interface OwnCertificatesDeps {
  readonly cluster: CertificateCluster;
  readonly policy: RotationPolicy;
  readonly now: () => number;
  readonly log: Log;
}

const FILE = { authority: 'ca.key', trusted: 'ca.crt', since: 'ca-since', key: 'tls.key', server: 'tls.crt' };

export function ownCertificates(deps: OwnCertificatesDeps): CertificateSource {
  return { check: () => retryStale(() => reconcile(deps), deps.log) };
}

/**
 * The bundle is read before the Secret, and written only if it is still the one that was read. So a replica with an
 * old Secret can never take a newer CA out of the bundle again.
 */
async function reconcile({ cluster, policy, now, log }: OwnCertificatesDeps): Promise<KeyPair> {
  const bundle = await cluster.readBundle();
  const stored = await cluster.readSecret();
  let material = readMaterial(stored, log);
  const step = nextStep(material, now(), policy);
  if (step !== 'none') {
    material = await applyStep(step, material, now(), policy);
    await cluster.writeSecret(dataOf(material), stored.version);
    log.info({ step, expires: expiryText(material) }, 'certificates changed');
  }
  if (!material) throw new Error('unreachable: without material the step is start-over');
  const wanted = material.trusted.join('');
  if (bundle.entries.some(({ caBundle }) => caBundle !== wanted)) {
    await cluster.writeBundle(bundle, wanted);
    log.info({ authorities: material.trusted.length }, 'caBundle updated');
  }
  return material.server;
}

/** A Secret that somebody broke is made again rather than believed. */
function readMaterial(stored: StoredSecret, log: Log): Material | undefined {
  if (stored.version === undefined) return undefined;
  try {
    return materialOf(stored.data);
  } catch (error) {
    log.warn({ error: describeError(error) }, 'the certificate Secret cannot be used; making it again');
    return undefined;
  }
}

/**
 * What is missing, or of no use, is made again alone: that is how a key is replaced by hand, and nobody is cut off by it.
 * But the CAs that are trusted must be readable.
 */
function materialOf(data: Readonly<Record<string, string>>): Material {
  const trusted = splitBundle(required(data, FILE.trusted));
  const [certificate] = trusted;
  if (certificate === undefined) throw new Error(`${FILE.trusted} holds no certificate`);
  for (const pem of trusted) expiryOf(pem); // throws on rubbish
  const shown = data[FILE.server] ?? '';
  const material = {
    authority: { certificate, key: keyOf(certificate, data[FILE.authority]) },
    authoritySinceMs: Date.parse(required(data, FILE.since)),
    trusted,
    server: { certificate: shown, key: keyOf(shown, data[FILE.key]) },
  };
  if (Number.isNaN(material.authoritySinceMs)) throw new Error(`${FILE.since} is not a time`);
  return material;
}

/** @returns '' for what is not the key of that certificate */
function keyOf(certificate: string, key = ''): string {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)) ? key : '';
  } catch {
    return '';
  }
}

function dataOf(material: Material): Record<string, string> {
  return {
    [FILE.authority]: material.authority.key,
    [FILE.trusted]: material.trusted.join(''),
    [FILE.since]: new Date(material.authoritySinceMs).toISOString(),
    [FILE.server]: material.server.certificate,
    [FILE.key]: material.server.key,
  };
}

function required(data: Readonly<Record<string, string>>, key: string): string {
  const value = data[key];
  if (!value) throw new Error(`${key} is missing`);
  return value;
}

function expiryText(material: Material): string {
  return new Date(expiryOf(material.server.certificate)).toISOString();
}
