/**
 * Read buffers, used again. A buffer's memory lives outside the JavaScript heap, where the collector hardly notices
 * it. One allocation per answer made a relay of 256 KiB answers grow to 260 MB before it was collected.
 */

/** Untouched pages of it cost no memory, so that small answers keep a page or two resident. */
const READ_BUFFER_BYTES = 65_536;

/** What is kept beyond what connections use: 2 MiB. */
const MAX_FREE = 32;

const free: Buffer[] = [];

export function takeReadBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
}

/** Only when nothing refers to it any more: no socket that reads into it, no sink that writes from it. */
export function returnReadBuffer(buffer: Buffer): void {
  if (free.length < MAX_FREE) free.push(buffer);
}

/** For a process that has become idle: the collector frees what was kept. */
export function dropFreeReadBuffers(): void {
  free.length = 0;
}
