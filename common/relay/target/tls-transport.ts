/**
 * TLS to an upstream on this pod's own loopback. As in the kubelet's probes no certificate is verified: nobody stands
 * between, and what an app shows there is made for its Service's name.
 *
 * Read as a stream, because Node hands out every TLS record that it has decrypted, even after it was told to stop. So
 * a buffer of ours would be overwritten while its reader still needs it.
 */
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { RelayError } from '../errors.ts';
import type { Dial, Transport } from './transport.ts';
import type { RelayTarget } from '../types.ts';
import { keepUnreadTls } from './unread-answer.ts';

/** Made for one upstream: a handshake goes on where the last one ended, which spares the app its signature. */
export function createTlsTransport(): Transport {
  let session: Buffer | undefined;
  return {
    openEvent: 'secureConnect',
    showsRefusedWrites: false, // one write may be several records
    open(target, { onChunk }) {
      let isHeard = false;
      let isOver = false;
      const socket = connect({ ...tlsOptions(target), ...(session ? { session } : {}) });
      socket.on('session', (next: Buffer) => {
        if (!isOver) session = next;
      });
      socket.on('data', (chunk: Buffer) => {
        isHeard = true;
        if (!onChunk(chunk)) socket.pause();
      });
      // An app that does not take a former session may end the connection. The next one then begins a new session.
      const end = (): void => {
        isOver = true;
        if (!isHeard) session = undefined;
      };
      socket.once('end', end).once('error', end).once('close', end);
      return socket;
    },
    failureOf,
    keepUnread: (socket, reader, take) => keepUnreadTls(socket as TLSSocket, reader, take),
    cut: (socket) => void socket.destroy(),
  };
}

/** An error that is not the connect's own is the handshake's; one of TLS itself says that something else is spoken there. */
function failureOf(cause: NodeJS.ErrnoException): RelayError {
  if (cause.syscall === 'connect') return new RelayError('connect-failed', 'could not connect', { cause });
  const isSure = cause.code === 'EPROTO' || cause.code?.startsWith('ERR_SSL_') === true;
  return new RelayError(isSure ? 'wrong-protocol' : 'connect-failed', NO_TLS, { cause });
}

const NO_TLS =
  'it takes no TLS (HTTPS) for HTTP/1.1 on its port; set slimfaas.dev/app-protocol to http1 if it speaks plain HTTP';

/** For an upgrade, whose socket is its own. */
export const TLS_DIAL: Dial = {
  openEvent: 'secureConnect',
  failureOf,
  open: (target) => connect(tlsOptions(target)),
};

function tlsOptions({
  host,
  port,
}: RelayTarget): ConnectionOptions & { noDelay: true; autoSelectFamily: false } {
  return {
    host,
    port,
    rejectUnauthorized: false,
    // A server that speaks HTTP/2 only says so in the handshake, before it has seen a request.
    ALPNProtocols: ['http/1.1'],
    noDelay: true,
    autoSelectFamily: false,
  };
}
