/** Lines as /proc/net/tcp and tcp6 have them, on the machine that runs the test. */
import { endianness } from 'node:os';

function word(bytes: readonly number[]): string {
  const inOrder = endianness() === 'LE' ? bytes.toReversed() : bytes;
  return inOrder
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase();
}

function written(place: string, prefix: string): string {
  const [address = '', port = ''] = place.split(':');
  const hex = Number(port).toString(16).padStart(4, '0').toUpperCase();
  return `${prefix}${word(address.split('.').map(Number))}:${hex}`;
}

function lineOf(local: string, remote: string, state: number, queues: string): string {
  const st = state.toString(16).padStart(2, '0').toUpperCase();
  return `   0: ${local} ${remote} ${st} ${queues}:00000000 00000000  1000        0 12345 1 0 20 4 30 10 -1`;
}

const QUIET = '00000000:00000000 00';

/** @param local `10.0.0.7:5000` */
export function line(local: string, remote: string, state: number, queues = QUIET): string {
  return lineOf(written(local, ''), written(remote, ''), state, queues);
}

/** The same in tcp6, where IPv4 addresses are written as IPv6. */
export function line6(local: string, remote: string, state: number, queues = QUIET): string {
  const mapped = `0000000000000000${word([0, 0, 255, 255])}`;
  return lineOf(written(local, mapped), written(remote, mapped), state, queues);
}
