/**
 * A function's name as a label value. Workload names may have 253 characters, label values 63. A longer name keeps
 * its first 54 and gets 8 of its hash, so that two long names with the same beginning stay two labels.
 */
import { createHash } from 'node:crypto';

const MAX_LABEL_VALUE = 63;
const HASH_LENGTH = 8;

export function functionLabelValue(name: string): string {
  if (name.length <= MAX_LABEL_VALUE) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_LENGTH);
  return `${name.slice(0, MAX_LABEL_VALUE - HASH_LENGTH - 1)}-${hash}`;
}
