/**
 * What a NATS server is told by a file that is written before each start: what it may keep on its volume, and where the
 * other servers of its cluster are.
 *
 * The bound. By itself a server takes three quarters of what is free when it starts, and
 * does not count what it has there: with half a volume of jobs it starts, and then refuses every message. So the bound is
 * written down before each start, from the volume's size and what is on it.
 */
import { readdirSync, statfsSync, statSync, writeFileSync, type Dirent } from 'node:fs';
import { join, relative } from 'node:path';
import { bytesOfSize } from '../../common/queue/volume.ts';
import { UsageError } from '../../common/runtime/errors.ts';

export interface NatsStore {
  readonly storeDir: string;
  /** Such as `10Gi`. */
  readonly volume: string;
  /** Another configuration file; empty: none. */
  readonly include: string;
  /** With tls.crt and tls.key; empty: clients come without TLS. */
  readonly tlsDir: string;
  /** Absent: it is alone. */
  readonly cluster?: NatsCluster;
}

export interface NatsCluster {
  /** `host:port` on which it takes the other servers' connections. */
  readonly listen: string;
  /** `host:port` of every server, its own too. */
  readonly routes: readonly string[];
  /** With tls.crt, tls.key and ca.crt; empty: without TLS. */
  readonly tlsDir: string;
}

export const STORE_CONFIG = 'slimfaas.conf';

/** The part of the size that was asked for. The file system has its part, and files of deleted messages shrink later. */
const OF_VOLUME = 0.7;
/** The part of what the file system has for us, where that is less: a volume may be a folder of its node's disk. */
const OF_FREE = 0.75;

/** @returns what was done, in words @throws UsageError for a size that is none */
export function writeStoreConfig({ storeDir, volume, include, tlsDir, cluster }: NatsStore): string {
  const wanted = bytesOfSize(volume);
  if (wanted === undefined || wanted === 0)
    throw new UsageError(`--volume must be a size such as 10Gi, not ${JSON.stringify(volume)}`);
  const { bavail, bsize } = statfsSync(storeDir);
  const bytes = Math.floor(Math.min(OF_VOLUME * wanted, OF_FREE * (bavail * bsize + bytesIn(storeDir))));
  const lines = [
    '# Written by slimfaas before each start of the server.',
    // Not by flags: with them a server refuses to read its files again.
    `jetstream { store_dir: ${JSON.stringify(storeDir)}, max_file_store: ${bytes} }`,
    // A server looks for it from the folder of the file that includes it.
    ...(include === '' ? [] : [`include '${relative(storeDir, include)}'`]),
    ...(tlsDir === '' ? [] : [`tls { cert_file: "${tlsDir}/tls.crt", key_file: "${tlsDir}/tls.key" }`]),
    ...(cluster ? clusterLines(cluster) : []),
  ];
  writeFileSync(join(storeDir, STORE_CONFIG), `${lines.join('\n')}\n`);
  return `streams may have ${bytes} bytes of ${storeDir}`;
}

/** Servers check each other's certificates, so that nobody else becomes one of them. */
function clusterLines({ listen, routes, tlsDir }: NatsCluster): string[] {
  const tls = `  tls { cert_file: "${tlsDir}/tls.crt", key_file: "${tlsDir}/tls.key", ca_file: "${tlsDir}/ca.crt", timeout: 5 }`;
  return [
    'cluster {',
    '  name: slimfaas',
    `  listen: "${listen}"`,
    `  routes: ${JSON.stringify(routes.map((route) => `nats-route://${route}`))}`,
    // Clients know the Service.
    '  no_advertise: true',
    ...(tlsDir === '' ? [] : [tls]),
    '}',
  ];
}

/** On the disk. What may not be read, as `lost+found`, is not the server's. */
function bytesIn(dir: string): number {
  let bytes = 0;
  for (const entry of readable(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) bytes += bytesIn(path);
    else if (entry.isFile()) bytes += statSync(path).blocks * 512;
  }
  return bytes;
}

function readable(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return [];
    throw error;
  }
}
