/**
 * Reads what Linux says of the sockets of this network namespace: the tables /proc/net/tcp and tcp6, and the count of
 * accepted connections in /proc/net/snmp. Everybody may read them. A line that is none of ours to understand is
 * passed over, and a table is read up to a bound.
 */
import { close, open, read, readFileSync } from 'node:fs';
import { endianness } from 'node:os';

/** One line of a table. Addresses are hex as the kernel prints them; `toAddress` makes text of one. */
export interface Row {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly state: number;
  /** Bytes that wait in a queue, or are sent and not acknowledged. */
  readonly isMoving: boolean;
}

export const TCP_STATE = { established: 1, finWait1: 4, timeWait: 6, closeWait: 8, lastAck: 9, listen: 10 };

/** About 7,000 sockets. */
const TABLE_BYTES_MAX = 1024 * 1024;
const READ_BYTES = 65_536;
/** A line is 150 characters, and 202 in tcp6. */
const LINE_CHARS_MAX = 512;

// By callbacks: node:fs/promises and node:util cost a sidecar memory and time (docs/decisions/sidecar-weight.md).
function done<T>(start: (callback: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
}

/** Calls `take` for each socket. @returns false where the table is longer than the bound: the rest was not read */
export async function readTable(
  path: string,
  take: (row: Row) => void,
  maxBytes = TABLE_BYTES_MAX,
): Promise<boolean> {
  const file = await done<number>((callback) => open(path, 'r', callback));
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    let rest = '';
    for (let total = 0; total < maxBytes;) {
      const bytesRead = await done<number>((callback) => read(file, buffer, 0, READ_BYTES, null, callback));
      if (bytesRead === 0) return true;
      total += bytesRead;
      const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
      rest = (lines.pop() ?? '').slice(0, LINE_CHARS_MAX);
      for (const line of lines) {
        const row = parseRow(line);
        if (row) take(row);
      }
    }
    return false;
  } finally {
    await done<void>((callback) => close(file, (error) => callback(error ?? null)));
  }
}

const ROW =
  /^ *\d+: ((?:[\dA-F]{8}){1,4}):([\dA-F]{4}) ((?:[\dA-F]{8}){1,4}):([\dA-F]{4}) ([\dA-F]{2}) ([\dA-F]{8}):([\dA-F]{8}) ([\dA-F]{2})/;
/** A retransmission is due: something is sent and not acknowledged. */
const RETRANSMIT = '01';
const NONE = '00000000';

export function parseRow(line: string): Row | undefined {
  if (line.length > LINE_CHARS_MAX) return undefined;
  const found = ROW.exec(line);
  if (!found) return undefined;
  const [, localAddress = '', localPort = '', remoteAddress = '', remotePort = '', state = ''] = found;
  return {
    localAddress: plain(localAddress),
    localPort: Number.parseInt(localPort, 16),
    remoteAddress: plain(remoteAddress),
    remotePort: Number.parseInt(remotePort, 16),
    state: Number.parseInt(state, 16),
    isMoving: found[6] !== NONE || found[7] !== NONE || found[8] === RETRANSMIT,
  };
}

const IS_LITTLE = endianness() === 'LE';
const MAPPED = IS_LITTLE ? '0000000000000000FFFF0000' : '00000000000000000000FFFF';
const LOOPBACK_6 = IS_LITTLE ? '00000000000000000000000001000000' : '00000000000000000000000000000001';

/** An IPv4 address that is written as IPv6 is the same address. */
function plain(hex: string): string {
  return hex.length === 32 && hex.startsWith(MAPPED) ? hex.slice(24) : hex;
}

export function isLoopback(hex: string): boolean {
  if (hex.length === 8) return (IS_LITTLE ? hex.slice(6) : hex.slice(0, 2)) === '7F';
  return hex === LOOPBACK_6;
}

/** `0100007F` is 127.0.0.1; IPv6 comes without `::`. */
export function toAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (IS_LITTLE) bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  return (bytes.toString('hex').match(/.{4}/g) ?? []).join(':');
}

/** Connections that this namespace has accepted since it began; undefined: not told. */
export function acceptedSoFar(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
  return passiveOpens(text);
}

export function passiveOpens(text: string): number | undefined {
  const [names, values] = text.split('\n').filter((line) => line.startsWith('Tcp: '));
  const at = names?.split(' ').indexOf('PassiveOpens') ?? -1;
  const value = Number(at < 0 ? Number.NaN : values?.split(' ')[at]);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
