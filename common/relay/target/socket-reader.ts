/** The reader of what comes. Both readers return false to be given nothing until the socket is resumed. */
export interface SocketReader {
  /** Where the next read goes. */
  readonly buffer: () => Buffer;
  /** So many bytes are in the buffer. */
  readonly onRead: (size: number) => boolean;
  /** Bytes in memory of their own. */
  readonly onChunk: (chunk: Buffer) => boolean;
}
