/**
 * Decoding what a client sends. Wrong types are refused, and nulls and unknown fields fall away. Unknown fields are
 * an error or a warning as the client asked (`fieldValidation`). The schemas are the type tables of the Kubernetes
 * client library's models, loaded on first use (0.3 s and 30 MB); the client itself is not loaded.
 */
import { badRequest } from './api-errors.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { JsonObject } from '../http/json.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import type { KubeObject } from './types.ts';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
  readonly format: string;
}

type Models = Readonly<Record<string, { getAttributeTypeMap?: () => readonly Attribute[] } | undefined>>;

/** Decodes without waiting, so that a patch can be applied and decoded in one step. */
export type Decode = (kind: Kind, value: unknown, options: DecodeOptions) => KubeObject;

let loading: Promise<Decode> | undefined;

async function load(): Promise<Decode> {
  const all: unknown = await import('@kubernetes/client-node/dist/gen/models/all.js');
  const attributes: Decoding['attributes'] = new Map();
  return (kind, value, options) => {
    const decoding: Decoding = { models: all as Models, attributes, unknown: [], wrong: [] };
    return finish(kind, decodeObject(decoding, '', value, modelName(kind)), { decoding, options });
  };
}

export function loadDecoder(): Promise<Decode> {
  loading ??= load();
  return loading;
}

/** Where two groups have a kind of the same name, the library's class carries the group's. */
function modelName({ group, version, kind }: Pick<Kind, 'group' | 'version' | 'kind'>): string {
  const prefix = kind === 'Event' ? (group === '' ? 'Core' : 'Events') : '';
  return `${prefix}${version[0]!.toUpperCase()}${version.slice(1)}${kind}`;
}

interface Decoding {
  readonly models: Models;
  readonly attributes: Map<string, Map<string, Attribute>>;
  readonly unknown: string[];
  readonly wrong: string[];
}

/** Kubernetes' quantities may be written as plain numbers. */
const QUANTITIES =
  /^(limits|requests|hard|used|capacity|allocatable|overhead|sizeLimit|default|defaultRequest)$/;

/** Fields the library's models lack but every client may send. */
const ALWAYS_KNOWN: ReadonlySet<string> = new Set(['apiVersion', 'kind']);

function attributesOf(decoding: Decoding, model: string): Map<string, Attribute> | undefined {
  const known = decoding.attributes.get(model);
  if (known !== undefined) return known;
  const list = decoding.models[model]?.getAttributeTypeMap?.();
  if (list === undefined) return undefined;
  const map = new Map(list.map((attribute) => [attribute.baseName, attribute]));
  decoding.attributes.set(model, map);
  return map;
}

function goName({ type, format }: Attribute): string {
  return format || type;
}

function kindOfJson(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (isObject(value)) return 'object';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** Collected, not thrown: all wrong types of a manifest are told at once. */
function mismatch(decoding: Decoding, path: string, value: unknown, wanted: string): unknown {
  decoding.wrong.push(`json: cannot unmarshal ${kindOfJson(value)} into field ${path} of type ${wanted}`);
  return value;
}

function decodeValue(decoding: Decoding, path: string, value: unknown, attribute: Attribute): unknown {
  const { type } = attribute;
  const list = /^(?:Array|Set)<(.*)>$/.exec(type);
  if (list !== null) {
    if (!Array.isArray(value)) return mismatch(decoding, path, value, `[]${list[1]}`);
    const item = { ...attribute, type: list[1]! };
    return value.map((inner: unknown, index) => decodeValue(decoding, `${path}[${index}]`, inner, item));
  }
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
  if (map !== null) {
    if (!isObject(value)) return mismatch(decoding, path, value, `map[string]${map[1]}`);
    const inner = { ...attribute, type: map[1]! };
    return decodeMap(decoding, path, value, inner);
  }
  return attributesOf(decoding, type) === undefined
    ? decodeScalar(decoding, path, value, attribute)
    : decodeObject(decoding, path, value, type);
}

/** A null in a map is an absent key, as Go reads it. */
function decodeMap(decoding: Decoding, path: string, value: JsonObject, inner: Attribute): JsonObject {
  const entries = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(
    entries.map(([key, member]) => [key, decodeValue(decoding, `${path}.${key}`, member, inner)]),
  );
}

function decodeScalar(decoding: Decoding, path: string, value: unknown, attribute: Attribute): unknown {
  const actual = typeof value;
  switch (attribute.type) {
    case 'string':
    case 'Date':
      if (actual === 'number' && QUANTITIES.test(attribute.baseName)) return String(value);
      return actual === 'string' ? value : mismatch(decoding, path, value, goName(attribute));
    case 'number': {
      const isFine = actual === 'number' && (attribute.format === 'double' || Number.isInteger(value));
      return isFine ? value : mismatch(decoding, path, value, goName(attribute));
    }
    case 'boolean':
      return actual === 'boolean' ? value : mismatch(decoding, path, value, 'bool');
    case 'IntOrString':
      if (actual === 'string' || Number.isInteger(value)) return value;
      return mismatch(decoding, path, value, 'int or string');
    default:
      return value;
  }
}

/** Decodes a model's fields; a field of another name is noted and falls away. */
function decodeObject(decoding: Decoding, path: string, value: unknown, model: string): unknown {
  if (!isObject(value)) return mismatch(decoding, path, value, model.replace(/^V\d+/, ''));
  const attributes = attributesOf(decoding, model)!;
  const decoded: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const attribute = attributes.get(key);
    if (attribute === undefined && !ALWAYS_KNOWN.has(key)) decoding.unknown.push(at);
    else if (member !== null) {
      decoded[key] = attribute === undefined ? member : decodeValue(decoding, at, member, attribute);
    }
  }
  return decoded;
}

export interface DecodeOptions {
  /** `Strict`, `Warn` or `Ignore`; servers warn when the client does not say. */
  readonly fieldValidation: string | null;
  readonly warn: (text: string) => void;
}

/** Returns a copy without what Kubernetes would not keep. */
function finish(
  kind: Kind,
  decoded: unknown,
  { decoding, options }: { decoding: Decoding; options: DecodeOptions },
): KubeObject {
  const title = `${kind.kind} in version "${apiVersionOf(kind)}" cannot be handled as a ${kind.kind}`;
  if (decoding.wrong.length > 0) throw badRequest(`${title}: ${decoding.wrong.join('; ')}`);
  const unknown = decoding.unknown.map((path) => `unknown field "${path}"`);
  if (options.fieldValidation === 'Strict' && unknown.length > 0) {
    throw badRequest(`${title}: strict decoding error: ${unknown.join(', ')}`);
  }
  if (options.fieldValidation !== 'Ignore') unknown.forEach(options.warn);
  return decoded as KubeObject;
}
