/**
 * NATS subjects, made and parsed here and nowhere else. Namespaces hold no dots, function and event names may. A dot
 * is written `%2E` (and `%` as `%25`), so that a name is always one token of a subject.
 */

export interface FunctionId {
  readonly namespace: string;
  readonly name: string;
}

export type FunctionSubjectKind =
  'wake' | 'activity' | 'ready' | 'share' | 'job' | 'dead' | 'callback' | 'body-wish';

const PREFIX = 'slimfaas';

/**
 * `slimfaas.<kind>.<ns>.<fn>`; subscribe to all with {@link everyFunction}. `body-wish` is a request of a sidecar to the
 * proxies; it carries `BodyWish` (common/queue/body-wish.ts).
 */
export function functionSubject(kind: FunctionSubjectKind, id: FunctionId): string {
  return `${PREFIX}.${kind}.${escapeToken(id.namespace)}.${escapeToken(id.name)}`;
}

export function everyFunction(kind: FunctionSubjectKind): string {
  return `${PREFIX}.${kind}.*.*`;
}

/** What a pod says of itself; a permission on NATS can name the pod. */
export type PodSubjectKind = 'ready' | 'activity';

/** `slimfaas.<kind>.<ns>.<fn>.<pod>`: whoever hears it knows by the subject who speaks. `ask`: see asks.ts. */
export function podSubject(kind: PodSubjectKind | 'ask', id: FunctionId, pod: string): string {
  return `${PREFIX}.${kind}.${[id.namespace, id.name, pod].map(escapeToken).join('.')}`;
}

export function everyPod(kind: PodSubjectKind | 'ask'): string {
  return `${PREFIX}.${kind}.*.*.*`;
}

/** The pod that asks; undefined for any other subject. */
export function parseAskSubject(subject: string): { id: FunctionId; pod: string } | undefined {
  const asker = parsePodSubject(subject, ['ask']);
  return asker?.pod === undefined ? undefined : { id: asker.id, pod: asker.pod };
}

/**
 * The speaker that a subject of {@link podSubject} names. Without a pod it is a subject of {@link functionSubject}:
 * proxies, and sidecars of older versions, speak there. Undefined for any other subject.
 */
export function parseSpeaker(subject: string): { id: FunctionId; pod: string | undefined } | undefined {
  return parsePodSubject(subject, ['ready', 'activity']);
}

function parsePodSubject(
  subject: string,
  kinds: readonly string[],
): { id: FunctionId; pod: string | undefined } | undefined {
  const [prefix, kind = '', namespace, name, pod, ...rest] = subject.split('.');
  const isOfKind = prefix === PREFIX && kinds.includes(kind) && rest.length === 0;
  if (!isOfKind || !namespace || !name || pod === '') return undefined;
  const id = { namespace: unescapeToken(namespace), name: unescapeToken(name) };
  return { id, pod: pod === undefined ? undefined : unescapeToken(pod) };
}

/** One event for one function that subscribes to it: the function is the last token. */
export function eventSubject(id: FunctionId, event: string): string {
  return `${PREFIX}.event.${escapeToken(id.namespace)}.${escapeToken(event)}.${escapeToken(id.name)}`;
}

/** All events of one function. */
export function everyEventOf(id: FunctionId): string {
  return `${PREFIX}.event.${escapeToken(id.namespace)}.*.${escapeToken(id.name)}`;
}

/** The function that {@link everyEventOf} names; undefined for any other subject. */
export function parseEveryEventOf(subject: string): FunctionId | undefined {
  const [prefix, kind, namespace, every, name, ...rest] = subject.split('.');
  const isIt = prefix === PREFIX && kind === 'event' && every === '*' && rest.length === 0;
  if (!isIt || !namespace || !name) return undefined;
  return { namespace: unescapeToken(namespace), name: unescapeToken(name) };
}

/** Where a job's state and result are kept: the job's own sequence is its last token. */
export function resultSubject(id: FunctionId, sequence: number): string {
  return `${PREFIX}.result.${escapeToken(id.namespace)}.${escapeToken(id.name)}.${sequence}`;
}

export function everyResult(): string {
  return `${PREFIX}.result.*.*.*`;
}

/** The job whose state is kept there; undefined for any other subject. */
export function parseResultSubject(subject: string): { id: FunctionId; sequence: number } | undefined {
  const [prefix, kind, namespace, name, last = '', ...rest] = subject.split('.');
  const isResult = prefix === PREFIX && kind === 'result' && rest.length === 0 && /^\d{1,15}$/.test(last);
  if (!isResult || !namespace || !name) return undefined;
  return { id: { namespace: unescapeToken(namespace), name: unescapeToken(name) }, sequence: Number(last) };
}

/** Core request to the sidecars of a function: who holds this job? Carries `JobQuestion`. */
export function jobQuestionSubject(id: FunctionId): string {
  return `${PREFIX}.job-question.${escapeToken(id.namespace)}.${escapeToken(id.name)}`;
}

/** The function that a subject of {@link functionSubject} names; undefined for any other subject. */
export function parseFunctionSubject(
  subject: string,
): { kind: FunctionSubjectKind; id: FunctionId } | undefined {
  const [prefix, kind, namespace, name, ...rest] = subject.split('.');
  if (prefix !== PREFIX || !isKind(kind) || !namespace || !name || rest.length > 0) return undefined;
  return { kind, id: { namespace: unescapeToken(namespace), name: unescapeToken(name) } };
}

/** `namespace/name`: the identity of a function as a map key and in logs. */
export function functionKey(id: FunctionId): string {
  return `${id.namespace}/${id.name}`;
}

function isKind(kind: string | undefined): kind is FunctionSubjectKind {
  return (
    kind === 'wake' ||
    kind === 'activity' ||
    kind === 'ready' ||
    kind === 'share' ||
    kind === 'job' ||
    kind === 'dead' ||
    kind === 'callback' ||
    kind === 'body-wish'
  );
}

/** Beside the dot, NATS reserves white space and the wildcards. */
export function escapeToken(token: string): string {
  return token.replaceAll(
    /[%.*>\s]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

export function unescapeToken(token: string): string {
  return token.replaceAll(/%([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
