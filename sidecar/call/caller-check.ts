/**
 * Who may come in on a connection: decided once, with its first request. A proxy shows a proof then
 * (common/proof/proof.ts), and each later call costs one look into a set. Without keys everybody comes in, as before.
 */
import type { IncomingMessage } from 'node:http';
import { HEADER } from '../../common/function/names.ts';
import { ProofChecker } from '../../common/proof/proof.ts';
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { SidecarConfig } from '../config.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Stats } from '../stats.ts';

/**
 * - `believed`: what it says of itself counts. - `direct`: a direct caller, whatever it says. - Else a text: why it
 * may not come in.
 */
export type CallerKind = 'believed' | 'direct' | { readonly why: string };

export interface CallerCheck {
  /** @param proof of the request's headers */
  enter(req: IncomingMessage, proof: string | undefined): CallerKind;
}

const OPEN: CallerCheck = { enter: () => 'believed' };
const NO_PROOF = 'it has shown no proof that it is a proxy';

export interface CallerCheckOptions {
  readonly config: Pick<SidecarConfig, 'proxy-proof' | 'proxy-keys' | 'direct-calls'>;
  /** `namespace/pod`. */
  readonly pod: string | undefined;
  readonly stats: Pick<Stats, 'unproven'>;
  readonly log: Log;
}

/** @throws UsageError for keys that cannot be used, or none */
export function createCallerCheck({ config, pod, stats, log }: CallerCheckOptions): CallerCheck {
  const { 'proxy-proof': mode, 'proxy-keys': publicKeys, 'direct-calls': takesDirect } = config;
  if (mode === 'off') return OPEN;
  const checker = checkerOf({ publicKeys, pod: pod ?? '' });
  const proven = new WeakSet<object>();
  const unproven = (from: string | undefined, why: string): CallerKind => {
    if (mode === 'required' && !takesDirect) return { why };
    if (stats.unproven === 0) log.info({ from, why }, 'the first call past the proxies');
    stats.unproven += 1;
    return mode === 'required' ? 'direct' : 'believed';
  };
  return {
    enter({ socket }, proof) {
      if (proven.has(socket)) return 'believed';
      const why = proof === undefined ? NO_PROOF : checker.whyNot(proof);
      if (why !== undefined) return unproven(socket.remoteAddress, why);
      proven.add(socket);
      return 'believed';
    },
  };
}

/** For a request that is no call: the proof stands in its headers as Node reads them. */
export function proofOf({ headers }: IncomingMessage): string | undefined {
  const proof = headers[HEADER.proof];
  return typeof proof === 'string' ? proof : undefined;
}

function checkerOf(options: ConstructorParameters<typeof ProofChecker>[0]): ProofChecker {
  if (options.publicKeys.length === 0 || options.pod === '')
    throw new UsageError('--proxy-proof needs --proxy-keys and --pod-name, which the webhook sets together');
  try {
    return new ProofChecker(options);
  } catch (error) {
    throw new UsageError(`--proxy-keys: ${describeError(error)}`, { cause: error });
  }
}
