/**
 * The TLS port: decrypts, and hands each connection to the server of what ALPN settled on; a client that offers nothing
 * speaks HTTP/1.1. Requests, limits and endings are those servers'. A new certificate counts for new connections,
 * the open ones go on.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { UsageError, describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { TCP_OPTIONS } from '../../common/relay/index.ts';
import { keepCertificate } from '../../common/tls/certificate-keeper.ts';
import { readKeyPair, type KeyPair } from '../../common/tls/key-pair.ts';

export interface TlsPortOptions {
  readonly pair: KeyPair;
  readonly handshakeMs: number;
  readonly maxConnections: number;
  readonly onHttp1: (socket: TLSSocket) => void;
  readonly onHttp2: (socket: TLSSocket) => void;
}

export function createTlsPort({ pair, onHttp1, onHttp2, ...limits }: TlsPortOptions): Server {
  const server = createServer(
    {
      ...secure(pair),
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: limits.handshakeMs,
      ...TCP_OPTIONS,
    },
    (socket) => (socket.alpnProtocol === 'h2' ? onHttp2(socket) : onHttp1(socket)),
  );
  server.maxConnections = limits.maxConnections;
  return server;
}

function secure(pair: KeyPair): { cert: string; key: string; minVersion: 'TLSv1.2' } {
  return { cert: pair.certificate, key: pair.key, minVersion: 'TLSv1.2' };
}

interface Files {
  readonly certificate: string;
  readonly key: string;
}

/**
 * @returns undefined where no certificate is configured
 * @throws UsageError for one that cannot be used
 */
export async function firstKeyPair(files: Files): Promise<KeyPair | undefined> {
  const { certificate, key } = files;
  if (certificate === '' && key === '') return undefined;
  if (certificate === '' || key === '') {
    const [missing, given] = certificate === '' ? ['--tls-cert', '--tls-key'] : ['--tls-key', '--tls-cert'];
    throw new UsageError(`${given} needs ${missing} too: a file in PEM`);
  }
  try {
    return await readKeyPair(certificate, key);
  } catch (error) {
    const why = describeError(error);
    throw new UsageError(
      `--tls-cert ${JSON.stringify(certificate)} with --tls-key ${JSON.stringify(key)} cannot be used: ${why}`,
    );
  }
}

/** cert-manager and the kubelet change mounted files; nobody tells us. Returns its release. */
export function followKeyPair(server: Server, files: Files, checkMs: number, log: Log): () => Promise<void> {
  let isFirst = true;
  const keeper = keepCertificate({
    source: { check: () => readKeyPair(files.certificate, files.key) },
    checkMs,
    log,
    onCertificate: (pair) => {
      server.setSecureContext(secure(pair));
      if (!isFirst) log.info('a new TLS certificate is served');
      isFirst = false;
    },
  });
  return () => keeper.stop();
}
