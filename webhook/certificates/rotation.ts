/**
 * When what is made again, so that no admission ever fails over a certificate. A change of the CA takes three
 * steps, each safe by itself and each seen by every replica before the next:
 *
 * 1. a new CA stands in caBundle beside the old one, while the old one's certificate is still served;
 * 2. after the settle time every API server trusts both: a certificate of the new CA is served;
 * 3. the old CA leaves caBundle when it has expired; its key was thrown away in step 1.
 *
 * Deciding is pure; making keys is not, and stands apart in {@link applyStep}.
 */
import type { KeyPair } from '../../common/tls/key-pair.ts';
import { createAuthority, expiryOf, isForNames, isIssuedBy, issueCertificate } from './x509.ts';

export interface Material {
  /** Signs; its certificate is the first of `trusted`. An empty key is one that is lost: another CA is due. */
  readonly authority: KeyPair;
  /** When the authority came into caBundle. */
  readonly authoritySinceMs: number;
  /** CA certificates for caBundle, newest first. */
  readonly trusted: readonly string[];
  /** What the server shows. With an empty key another one is due. */
  readonly server: KeyPair;
}

export interface RotationPolicy {
  readonly dnsNames: readonly string[];
  readonly authorityValidMs: number;
  readonly certificateValidMs: number;
  readonly settleMs: number;
}

export type RotationStep = 'none' | 'start-over' | 'new-authority' | 'new-certificate' | 'drop-expired';

/** @param material undefined where there is none, or none that can be read */
export function nextStep(
  material: Material | undefined,
  nowMs: number,
  policy: RotationPolicy,
): RotationStep {
  if (!material) return 'start-over';
  const authorityLeftMs = expiryOf(material.authority.certificate) - nowMs;
  if (authorityLeftMs <= 0) return 'start-over';
  if (material.authority.key === '') return 'new-authority';
  if (!isServable(material, nowMs, policy)) return 'new-certificate';
  if (authorityLeftMs < policy.authorityValidMs / 3) return 'new-authority';
  const isSettled = nowMs - material.authoritySinceMs >= policy.settleMs;
  if (isSettled && isRenewalDue(material, nowMs, policy)) return 'new-certificate';
  const hasExpired = material.trusted.some((certificate) => expiryOf(certificate) <= nowMs);
  return hasExpired ? 'drop-expired' : 'none';
}

/** Nothing is lost by replacing at once a certificate that no API server would accept. */
function isServable({ server, trusted }: Material, nowMs: number, policy: RotationPolicy): boolean {
  return (
    server.key !== '' &&
    expiryOf(server.certificate) > nowMs &&
    isForNames(server.certificate, policy.dnsNames) &&
    trusted.some((authority) => isIssuedBy(server.certificate, authority))
  );
}

function isRenewalDue({ server, authority }: Material, nowMs: number, policy: RotationPolicy): boolean {
  if (!isIssuedBy(server.certificate, authority.certificate)) return true;
  return expiryOf(server.certificate) - nowMs < certificateLifeMs(policy) / 3;
}

/**
 * Never longer than a third of the CA's life. A CA is replaced when a third of its own life is left, so a certificate
 * never outlives the CA that signed it. With the defaults: min(90, 365 / 3 = 121) = 90 days.
 */
function certificateLifeMs(policy: RotationPolicy): number {
  return Math.min(policy.certificateValidMs, policy.authorityValidMs / 3);
}

export async function applyStep(
  step: Exclude<RotationStep, 'none'>,
  material: Material | undefined,
  nowMs: number,
  policy: RotationPolicy,
): Promise<Material> {
  const stillValid = (material?.trusted ?? []).filter((certificate) => expiryOf(certificate) > nowMs);
  if (!material || step === 'start-over') {
    const authority = await newAuthority(nowMs, policy);
    return {
      authority,
      authoritySinceMs: nowMs,
      trusted: [authority.certificate, ...stillValid],
      server: await newServer(authority, nowMs, policy),
    };
  }
  if (step === 'new-authority') {
    const authority = await newAuthority(nowMs, policy);
    const trusted = [authority.certificate, ...stillValid];
    const { key } = material.server;
    const server = key === '' ? await newServer(authority, nowMs, policy) : material.server;
    return { authority, authoritySinceMs: nowMs, trusted, server };
  }
  if (step === 'drop-expired') return { ...material, trusted: stillValid };
  return { ...material, server: await newServer(material.authority, nowMs, policy) };
}

function newAuthority(nowMs: number, policy: RotationPolicy): Promise<KeyPair> {
  return createAuthority({ nowMs, validMs: policy.authorityValidMs });
}

function newServer(authority: KeyPair, nowMs: number, policy: RotationPolicy): Promise<KeyPair> {
  return issueCertificate(authority, policy.dnsNames, { nowMs, validMs: certificateLifeMs(policy) });
}
