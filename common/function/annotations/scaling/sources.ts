/**
 * `Sources` of SlimFaas/Scale: what lies outside and knows how much work there is. `Name` and `Url` alone are SlimFaas's
 * form: an exporter's page in text format. What a cron expression means is the scaler's to say, which has the library.
 */
import type { SourcePlace, SourceSpec } from '../../spec.ts';
import { MAX_METADATA_BYTES, MAX_METADATA_ENTRIES, MAX_SOURCES } from '../bounds.ts';
import { fields, items, numberOr, reject, textOr, wordOr, type Fields, type JsonPart } from '../json.ts';
import { isTimeZone } from '../schedule.ts';
import { isWorkloadName, MAX_INT } from '../values.ts';
import { isObject } from '../../../runtime/is-object.ts';

/** The threshold of a trigger whose external scaler says itself what a pod can take. */
export const OWN_TARGET = 1;

type SourceType = SourcePlace['type'];

const TYPES: readonly SourceType[] = ['metrics', 'prometheus', 'nats-jetstream', 'external', 'cron'];
const SCHEMES: Readonly<Record<Exclude<SourceType, 'cron'>, readonly string[]>> = {
  metrics: ['http', 'https'],
  prometheus: ['http', 'https'],
  'nats-jetstream': ['nats', 'tls'],
  external: ['grpc', 'grpcs'],
};
const FIELDS = [
  'Name',
  'Type',
  'Url',
  'IntervalMilliseconds',
  'Secret',
  'Stream',
  'Consumer',
  'Metadata',
  'Start',
  'End',
  'TimeZone',
  'DesiredReplicas',
] as const;
type SourceFields = Fields<(typeof FIELDS)[number]>;
const IGNORED = 'source ignored';
const SOURCE_NAME_MAX = 128;
const URL_MAX = 2_048;

/** Whether its triggers have queries. Of the others a value is the whole answer. */
export function hasQueries({ type }: SourcePlace): boolean {
  return type === 'metrics' || type === 'prometheus';
}

export function readInterval(part: JsonPart | undefined, fallback: number): number {
  return numberOr(part, { min: 1_000, max: 300_000, isWhole: true }, fallback);
}

export function readSources(part: JsonPart, intervalMs: number): SourceSpec[] {
  const all = items(part, 'sources', 'no sources') ?? [];
  if (all.length > MAX_SOURCES)
    reject({ ...part, value: all.length }, `at most ${MAX_SOURCES} sources`, `the first ${MAX_SOURCES}`);
  const sources: SourceSpec[] = [];
  for (const one of all.slice(0, MAX_SOURCES)) {
    const source = readSource(one, intervalMs);
    if (!source) continue;
    if (sources.every(({ name }) => name !== source.name)) sources.push(source);
    else reject(one, `a Name of its own, not ${source.name} again`, IGNORED);
  }
  return sources;
}

function readSource(part: JsonPart, intervalMs: number): SourceSpec | undefined {
  const f = fields(part, FIELDS, IGNORED);
  const name = textOr(f.Name, '');
  if (name === '' || name.length > SOURCE_NAME_MAX || /\p{Cc}/u.test(name)) {
    reject(f.Name ?? part, `a Name of at most ${SOURCE_NAME_MAX} characters`, IGNORED);
    return undefined;
  }
  const place = readPlace(part, f);
  if (!place) return undefined;
  const secret = textOr(f.Secret, '');
  if (secret !== '' && !isWorkloadName(secret)) {
    reject(f.Secret ?? part, 'the name of a Secret of the same namespace', IGNORED);
    return undefined;
  }
  return {
    name,
    intervalMs: readInterval(f.IntervalMilliseconds, intervalMs),
    secret: secret === '' ? undefined : secret,
    ...place,
  };
}

function readPlace(part: JsonPart, f: SourceFields): SourcePlace | undefined {
  const type = wordOr(f.Type, TYPES, 'metrics');
  if (type === 'cron') return readCron(part, f);
  const url = readUrl(part, f, SCHEMES[type]);
  if (url === undefined) return undefined;
  if (type === 'external') {
    const metadata = readMetadata(f.Metadata);
    return metadata && { type, url, metadata };
  }
  if (type !== 'nats-jetstream') return { type, url };
  const [stream, consumer] = [readToken(part, f, 'Stream'), readToken(part, f, 'Consumer')];
  return stream === undefined || consumer === undefined ? undefined : { type, url, stream, consumer };
}

function readUrl(part: JsonPart, f: SourceFields, schemes: readonly string[]): string | undefined {
  const text = textOr(f.Url, '');
  const url = text.length <= URL_MAX ? URL.parse(text) : null;
  const isPlain = url?.username === '' && url.password === '' && url.hash === '' && url.hostname !== '';
  if (isPlain && schemes.includes(url.protocol.slice(0, -1))) return text;
  const forms = schemes.map((scheme) => `${scheme}://host:port`).join(' or ');
  reject(f.Url ?? part, `a Url such as ${forms}, without credentials and fragment`, IGNORED);
  return undefined;
}

/** A name of JetStream: one token of a subject. */
function readToken(part: JsonPart, f: SourceFields, field: 'Stream' | 'Consumer'): string | undefined {
  const text = textOr(f[field], '');
  if (/^[^\s.*>/\\\p{Cc}]{1,255}$/u.test(text)) return text;
  reject(f[field] ?? part, `a ${field}: a name without spaces, dots, * and >`, IGNORED);
  return undefined;
}

/** @returns undefined for more than there is room for: with a part of it a scaler would count something else */
function readMetadata(part: JsonPart | undefined): Record<string, string> | undefined {
  if (part === undefined) return {};
  if (!isObject(part.value)) {
    reject(part, 'an object of texts', '{}');
    return {};
  }
  const entries = Object.entries(part.value);
  const bytes = Buffer.byteLength(JSON.stringify(part.value));
  if (entries.length > MAX_METADATA_ENTRIES || bytes > MAX_METADATA_BYTES) {
    const room = `at most ${MAX_METADATA_ENTRIES} entries and ${MAX_METADATA_BYTES} bytes of JSON in all`;
    reject({ ...part, value: `${entries.length} entries, ${bytes} bytes` }, room, IGNORED);
    return undefined;
  }
  const texts: [string, string][] = [];
  for (const [key, value] of entries) {
    if (typeof value === 'string') texts.push([key, value]);
    else if (typeof value === 'number' || typeof value === 'boolean') texts.push([key, String(value)]);
    else reject({ ...part, path: `${part.path}.${key}`, value }, 'a text', 'left out');
  }
  return Object.fromEntries(texts);
}

function readCron(part: JsonPart, f: SourceFields): SourcePlace | undefined {
  const [start, end] = [textOr(f.Start, ''), textOr(f.End, '')];
  const wrong = start === '' || !isCron(start) ? 'Start' : end === '' || !isCron(end) ? 'End' : undefined;
  if (wrong !== undefined) {
    reject(f[wrong] ?? part, `${wrong} as five fields of cron, such as 0 8 * * 1-5`, IGNORED);
    return undefined;
  }
  const timeZone = textOr(f.TimeZone, 'Etc/UTC');
  if (!isTimeZone(timeZone)) {
    reject(f.TimeZone ?? part, 'an IANA time zone such as Europe/Paris', IGNORED);
    return undefined;
  }
  const replicas = numberOr(f.DesiredReplicas, { min: 1, max: MAX_INT, isWhole: true }, 1);
  return { type: 'cron', start, end, timeZone, replicas };
}

/** Its form; whether there is such a time is known to the library that works it out. */
function isCron(text: string): boolean {
  return /^[\w*,/#?-]+( +[\w*,/#?-]+){4}$/.test(text);
}
