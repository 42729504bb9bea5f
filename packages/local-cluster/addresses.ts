/**
 * The loopback network of one cluster: 127.a.0.0/16 for a free `a`. So several clusters run side by side, and each
 * pod has an address of its own without any right or set-up. Linux answers for all of 127.0.0.0/8. The API server's
 * port on 127.a.0.1 is the claim: whoever listens there has `a`.
 */
export const API_PORT = 6443;
const FIRST_SUBNET = 16;
const LAST_SUBNET = 250;

/** Candidates in an order of chance, so that two starts at once rarely collide. */
export function networkCandidates(random: () => number = Math.random): number[] {
  const count = LAST_SUBNET - FIRST_SUBNET + 1;
  const start = Math.floor(random() * count);
  return Array.from({ length: count }, (_, i) => FIRST_SUBNET + ((start + i) % count));
}

export interface ClusterAddresses {
  readonly host: string;
  isPodAddress(address: string): boolean;
  allocatePod(): string;
  releasePod(ip: string): void;
  allocateService(): string;
}

/** Pods from 127.a.1.1 to 127.a.127.254, services from 127.a.128.1. */
export function clusterAddresses(a: number): ClusterAddresses {
  const used = new Set<string>();
  let nextPod = 0;
  let nextService = 0;
  const podAt = (n: number) => `127.${a}.${1 + Math.floor(n / 254)}.${1 + (n % 254)}`;
  const podCount = 127 * 254;
  return {
    host: `127.${a}.0.1`,
    isPodAddress: (address) => used.has(address),
    allocatePod() {
      // Round and round: an address comes again only after all others, so nobody meets a predecessor's caller.
      for (let tries = 0; tries < podCount; tries++) {
        const ip = podAt(nextPod++ % podCount);
        if (used.has(ip)) continue;
        used.add(ip);
        return ip;
      }
      throw new Error(`all ${podCount} pod addresses of 127.${a}.0.0/16 are in use`);
    },
    releasePod: (ip) => void used.delete(ip),
    allocateService: () => `127.${a}.${128 + Math.floor(nextService / 254)}.${1 + (nextService++ % 254)}`,
  };
}
