/** The gate that the flags ask for. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describeError, UsageError } from '../runtime/errors.ts';
import type { AccessConfig } from './access-flags.ts';
import { createGate, OPEN_GATE, type Gate, type GateOptions, type Reviewer } from './gate.ts';

/** @throws UsageError for a mode without what it needs */
export function gateOf(config: AccessConfig, options: GateOptions): Gate {
  const [mode, file] = [config['operator-auth'], config['operator-token-file']];
  if ((mode === 'token') !== (file !== ''))
    throw new UsageError(
      `--operator-token-file goes with --operator-auth token, which is ${JSON.stringify(mode)} here`,
    );
  if (mode === 'off') return OPEN_GATE;
  return createGate(mode === 'token' ? { ...options, reviewer: fileReviewer(file) } : options);
}

/**
 * Whoever shows a token of the file may do everything. It has one a line, so that the next one is good before the last one
 * ends. The file is read for each token that is not known.
 */
function fileReviewer(file: string): Reviewer {
  return {
    async userOf(token) {
      const lines = (await readToken(file)).split('\n').map((line) => line.trim());
      // Hashes have one length, which a comparison in constant time needs.
      const isOne = lines.some((line) => line !== '' && timingSafeEqual(hashOf(token), hashOf(line)));
      return isOne ? { username: 'operator-token', groups: [] } : undefined;
    },
    may: async () => true,
  };
}

async function readToken(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Error(`--operator-token-file: ${describeError(cause)}`, { cause });
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
