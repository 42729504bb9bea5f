/** Bodies that are stored beside their jobs, in chunks. */

export class BodyStoreError extends Error {
  readonly code: 'too-large' | 'incomplete';

  constructor(code: 'too-large' | 'incomplete', message: string) {
    super(message);
    this.name = 'BodyStoreError';
    this.code = code;
  }
}

export interface StoredBody {
  readonly name: string;
  readonly size: number;
}

export const BODY_CHUNK_BYTES = 128 * 1024;
/** 1 MiB under way: enough to keep a server on the same network busy. */
export const UNCONFIRMED_MAX = 8;
/** Memory that a body takes while it is stored. */
export const UNCONFIRMED_BYTES_MAX = (UNCONFIRMED_MAX + 1) * BODY_CHUNK_BYTES;
