/**
 * Messages between the parts over NATS, in JSON. Each message is checked when it is read. The sender is another process
 * and may have another version. Unknown fields are ignored. A wrong field is a MessageError. The checks are written by
 * hand, because a schema library is too heavy for the sidecar.
 */
import { MessageError } from '../runtime/errors.ts';
import { isObject } from '../runtime/is-object.ts';
import type { AnnouncementOrder } from './announcement-order.ts';
import { DURATION_BUCKETS, type CallCounts } from '../call/call-counts.ts';

/** proxy → scaler: `waiting` callers have no pod to go to. */
export interface WakeMessage {
  readonly from: string;
  readonly waiting: number;
}

/**
 * One second of a function's life as one process saw it. A sidecar sends it each second while anything runs, waits or
 * happened, and at once when its share changes. When idle it sends it every 10 s, so that silence means missing data
 * and not idleness. A proxy sends it each second while it has anything to report.
 */
export interface ActivityMessage extends Pick<AnnouncementOrder, 'start'> {
  readonly source: 'sidecar' | 'proxy';
  /** The pod that reports. */
  readonly pod: string;
  /** Requests running, averaged over the window by time. A proxy's are the same ones that sidecars count. */
  readonly running: number;
  /** Requests running at this moment. */
  readonly runningNow: number;
  /** Requests waiting for a place at this moment. */
  readonly waiting: number;
  /** Counts within the window. */
  readonly started: number;
  readonly finished: number;
  readonly failed: number;
  /** Length of the window in milliseconds. */
  readonly windowMs: number;
  /** How calls ended, of a canary and of a function that has one; from proxies, and none from older ones. */
  readonly calls?: CallCounts;
  /** The limit that the sidecar enforces now; absent from proxies. */
  readonly limit?: number;
  /** How many of `runningNow` are jobs; absent from proxies, and from sidecars of older versions. */
  readonly jobs?: number;
  /** Connections to the app that are open and in use, and came past proxy and sidecar; no load. From a sidecar that counts them. */
  readonly direct?: number;
  /** Such connections that were opened since the last report, short ones too. */
  readonly directOpened?: number;
  /** Why the app takes no calls, of at most {@link TROUBLE_CHARS} visible ASCII; absent while it does, and from older versions. */
  readonly trouble?: string;
}

const TROUBLE_CHARS = 200;

/** As a message and a header may carry it: visible ASCII, and short. */
export function troubleText(why: string): string {
  return why.slice(0, TROUBLE_CHARS).replaceAll(/[^ -~]/g, '?');
}

/** sidecar → proxies, scaler. */
export interface ReadyMessage extends AnnouncementOrder {
  readonly pod: string;
  readonly ip: string;
  readonly port: number;
  readonly state: 'ready' | 'draining';
  /** That it comes from this pod (places/ready-proof.ts); absent from sidecars without a token. */
  readonly proof?: string;
}

/** sidecar → proxy, by HTTP: the pod has started and its app is not ready. The answer says how many callers there are. */
export interface StartingMessage extends Omit<ReadyMessage, 'state'> {
  readonly state: 'starting';
}

/** scaler → sidecars, proxies: how NumberParallelRequest is split. */
export interface ShareMessage {
  readonly limit: number;
  /** Pod name → running requests allowed in it; a pod that is not listed keeps what it has. */
  readonly shares: Readonly<Record<string, number>>;
}

export function encodeMessage(
  message: WakeMessage | ActivityMessage | ReadyMessage | StartingMessage | ShareMessage,
): Uint8Array {
  return encoder.encode(JSON.stringify(message));
}

export function decodeWake(data: Uint8Array): WakeMessage {
  const o = parseMessage(data);
  return { from: text(o, 'from'), waiting: count(o, 'waiting') };
}

export function decodeActivity(data: Uint8Array): ActivityMessage {
  const o = parseMessage(data);
  const source = text(o, 'source');
  if (source !== 'sidecar' && source !== 'proxy') {
    throw new MessageError(`source is ${JSON.stringify(source)}; allowed: sidecar, proxy`);
  }
  return {
    source,
    pod: text(o, 'pod'),
    running: count(o, 'running'),
    runningNow: count(o, 'runningNow'),
    waiting: count(o, 'waiting'),
    started: count(o, 'started'),
    finished: count(o, 'finished'),
    failed: count(o, 'failed'),
    windowMs: count(o, 'windowMs'),
    ...optionalCounts(o, 'limit', 'jobs', 'start'),
    ...directCounts(o),
    ...callCounts(o['calls']),
    ...(o['trouble'] === undefined ? {} : { trouble: troubleText(text(o, 'trouble', Infinity)) }),
  };
}

const READY_STATES = ['ready', 'draining'] as const;
const POSTED_STATES = ['starting', ...READY_STATES] as const;

export function decodeReady(data: Uint8Array): ReadyMessage {
  return readPod(parseMessage(data), READY_STATES);
}

/** What a sidecar posts to a proxy. */
export function decodePosted(data: Uint8Array): ReadyMessage | StartingMessage {
  return readPod(parseMessage(data), POSTED_STATES) as ReadyMessage | StartingMessage;
}

function readPod<S extends string>(
  o: Json,
  states: readonly S[],
): Omit<ReadyMessage, 'state'> & { readonly state: S } {
  const given = text(o, 'state');
  const state = states.find((allowed) => allowed === given);
  if (state === undefined)
    throw new MessageError(`state is ${JSON.stringify(given)}; allowed: ${states.join(', ')}`);
  const order = optionalCounts(o, 'start', 'seq');
  const proof = o['proof'] === undefined ? {} : { proof: text(o, 'proof') };
  return {
    pod: text(o, 'pod'),
    ip: text(o, 'ip'),
    port: count(o, 'port', PORT_MAX),
    state,
    ...order,
    ...proof,
  };
}

export function decodeShare(data: Uint8Array): ShareMessage {
  const o = parseMessage(data, Infinity);
  const raw = o['shares'];
  if (!isRecord(raw)) throw new MessageError('shares is missing or not an object');
  const pods = Object.keys(raw);
  if (pods.length > SHARES_MAX) throw new MessageError(`shares has more than ${SHARES_MAX} pods`);
  const shares: Record<string, number> = {};
  for (const pod of pods) shares[pod] = count(raw, pod);
  return { limit: count(o, 'limit'), shares };
}

/** More than one network namespace has ports for, so a larger number is nobody's. */
const DIRECT_MAX = 100_000;

function directCounts(o: Json): Pick<ActivityMessage, 'direct' | 'directOpened'> {
  const counts = optionalCounts(o, 'direct', 'directOpened');
  for (const [name, value] of Object.entries(counts))
    if (!Number.isSafeInteger(value) || value > DIRECT_MAX)
      throw new MessageError(`${name} is ${value}; allowed: a whole number up to ${DIRECT_MAX}`);
  return counts;
}

/** Left out where it cannot be read: the load of the same message must not be lost with it. */
function callCounts(value: unknown): Pick<ActivityMessage, 'calls'> {
  if (!isObject(value)) return {};
  const { ended, failed, durations } = value as Partial<Record<string, unknown>>;
  if (!isCount(ended) || !isCount(failed) || !Array.isArray(durations)) return {};
  const isPaired = durations.length % 2 === 0 && durations.length <= 2 * DURATION_BUCKETS;
  const areCounts = durations.every((item, i) => isWhole(item, i % 2 === 0 ? DURATION_BUCKETS : Infinity));
  return isPaired && areCounts ? { calls: { ended, failed, durations: durations as number[] } } : {};
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= COUNT_MAX;
}

function isWhole(value: unknown, below: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < below;
}

/** @throws MessageError where the subject names another pod than the message, or a proxy speaks as a pod */
export function checkSpeaker(
  message: { readonly pod: string; readonly source?: ActivityMessage['source'] },
  pod: string | undefined,
): void {
  if (pod === undefined) return;
  if (message.pod !== pod) throw new MessageError(`pod is not ${JSON.stringify(pod)}, as the subject says`);
  if (message.source === 'proxy') throw new MessageError('source is proxy, on the subject of a pod');
}

/** Shares of one function; Kubernetes runs fewer pods in a whole cluster. */
const SHARES_MAX = 150_000;
/** Names of objects have 253 characters at most. */
const TEXT_CHARS = 253;
/** No honest message but of shares is longer; reading JSON costs its length. */
const MESSAGE_BYTES = 16 * 1024;
/** The largest whole number that survives arithmetic; times in milliseconds and counts are below it. */
const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const PORT_MAX = 65_535;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Json = Record<string, unknown>;

/** @throws MessageError for more than `maxBytes`, and for what is no JSON object */
export function parseMessage(data: Uint8Array, maxBytes = MESSAGE_BYTES): Json {
  if (data.length > maxBytes)
    throw new MessageError(`the message has ${data.length} bytes; at most ${maxBytes} are read`);
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(data));
  } catch (cause) {
    throw new MessageError('not JSON', { cause });
  }
  if (!isRecord(value)) throw new MessageError('not a JSON object');
  return value;
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(o: Json, field: string, maxChars = TEXT_CHARS): string {
  const value = o[field];
  if (typeof value !== 'string') throw new MessageError(`${field} is missing or not a string`);
  if (value.length > maxChars) throw new MessageError(`${field} is longer than ${maxChars} characters`);
  return value;
}

function count(o: Json, field: string, max = COUNT_MAX): number {
  const value = o[field];
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new MessageError(`${field} is missing or not a number ≥ 0`);
  }
  if (value > max) throw new MessageError(`${field} is above ${max}`);
  return value;
}

function optionalCounts<K extends string>(o: Json, ...fields: readonly K[]): Partial<Record<K, number>> {
  const found: Partial<Record<K, number>> = {};
  for (const field of fields) if (o[field] !== undefined) found[field] = count(o, field);
  return found;
}
