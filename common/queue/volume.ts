/**
 * How the volume of NATS is shared out among the streams, so that none can fill it. JetStream sets aside what a stream may
 * have when the stream is made. The server may have 70 % of the volume (cli/parts/nats-store.ts), and one of your own takes
 * three quarters of what is free when it starts: of 10 GiB about 6.9. So the shares sum to less than that.
 */

/** Parts of the volume. */
export const VOLUME_SHARES = {
  jobs: 0.2,
  /** Bodies above 512 KiB. */
  bodies: 0.25,
  results: 0.08,
  dead: 0.05,
  callbacks: 0.02,
  events: 0.05,
} as const;

export type VolumeShare = keyof typeof VOLUME_SHARES;

/** @returns -1, which is no bound, where the size is not known */
export function shareOfVolume(volumeBytes: number, share: VolumeShare): number {
  return volumeBytes > 0 ? Math.floor(volumeBytes * VOLUME_SHARES[share]) : -1;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** The bytes that a size such as 10Gi says, as Kubernetes writes sizes; undefined for what is none. */
export function bytesOfSize(text: string): number | undefined {
  const [, number, unit = ''] =
    /^(\d+(?:\.\d+)?(?:[eE]\+?\d{1,2})?)(|k|[MGTP]|[KMGTP]i)$/.exec(text.trim()) ?? [];
  const factor = UNITS[unit];
  return number === undefined || factor === undefined ? undefined : Math.floor(Number(number) * factor);
}
