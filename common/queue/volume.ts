/**
 * How the volume of NATS is shared out among the streams, so that none can fill it. JetStream sets aside what a stream may
 * have when the stream is made. The server may have 70 % of the volume (cli/parts/nats-store.ts), and one of your own takes
 * three quarters of what is free when it starts: of 10 GiB about 6.9. So the shares sum to less than that.
 */
import { parseQuantity } from '../function/quantity.ts';

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

/** More than a whole number of 64 bits holds is no size. */
const TOO_LARGE = 2 ** 63;

/** The bytes that a size such as 10Gi says, as Kubernetes writes sizes; undefined for what is none. */
export function bytesOfSize(text: string): number | undefined {
  const bytes = parseQuantity(text.trim());
  return bytes === undefined || bytes < 0 || bytes >= TOO_LARGE ? undefined : Math.floor(bytes);
}
