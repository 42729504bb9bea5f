/**
 * Reading the protobuf that kubectl's typed commands send (`drain`, `create deployment`, `auth can-i` …; it sends
 * JSON for `apply`, `patch`, `delete` and the like, and reads JSON everywhere). Only the messages and fields that
 * those commands fill in are known, by the numbers of Kubernetes' published .proto files. Anything else is refused by
 * its number rather than dropped.
 */
import { unsupportedMediaType } from '../objects/api-errors.ts';
import type { JsonObject } from './json.ts';

export const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';

/** `string`, `int`, `bool`, `bytes` (shown as base64), `map` (of strings), `bytemap`, or a message's name. */
type Field = readonly [name: string, type: string, isList?: 'list'];

const BINDING: Readonly<Record<number, Field>> = {
  1: ['metadata', 'ObjectMeta'],
  2: ['subjects', 'Subject', 'list'],
  3: ['roleRef', 'RoleRef'],
};

const MESSAGES: Readonly<Record<string, Readonly<Record<number, Field>>>> = {
  Unknown: {
    1: ['typeMeta', 'TypeMeta'],
    2: ['raw', 'raw'],
    3: ['contentEncoding', 'string'],
    4: ['contentType', 'string'],
  },
  TypeMeta: { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] },
  ObjectMeta: {
    1: ['name', 'string'],
    2: ['generateName', 'string'],
    3: ['namespace', 'string'],
    5: ['uid', 'string'],
    6: ['resourceVersion', 'string'],
    11: ['labels', 'map'],
    12: ['annotations', 'map'],
    14: ['finalizers', 'string', 'list'],
  },
  Eviction: { 1: ['metadata', 'ObjectMeta'], 2: ['deleteOptions', 'DeleteOptions'] },
  DeleteOptions: {
    1: ['gracePeriodSeconds', 'int'],
    2: ['preconditions', 'Preconditions'],
    3: ['orphanDependents', 'bool'],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', 'string', 'list'],
  },
  Preconditions: { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] },
  SelfSubjectAccessReview: { 1: ['metadata', 'ObjectMeta'], 2: ['spec', 'AccessReviewSpec'] },
  AccessReviewSpec: { 1: ['resourceAttributes', 'ResourceAttributes'] },
  ResourceAttributes: {
    1: ['namespace', 'string'],
    2: ['verb', 'string'],
    3: ['group', 'string'],
    4: ['version', 'string'],
    5: ['resource', 'string'],
    6: ['subresource', 'string'],
    7: ['name', 'string'],
  },
  TokenRequest: { 1: ['metadata', 'ObjectMeta'], 2: ['spec', 'TokenRequestSpec'] },
  TokenRequestSpec: { 1: ['audiences', 'string', 'list'], 4: ['expirationSeconds', 'int'] },
  Namespace: { 1: ['metadata', 'ObjectMeta'] },
  ServiceAccount: { 1: ['metadata', 'ObjectMeta'] },
  ConfigMap: { 1: ['metadata', 'ObjectMeta'], 2: ['data', 'map'], 3: ['binaryData', 'bytemap'] },
  Secret: {
    1: ['metadata', 'ObjectMeta'],
    2: ['data', 'bytemap'],
    3: ['type', 'string'],
    4: ['stringData', 'map'],
  },
  Role: { 1: ['metadata', 'ObjectMeta'], 2: ['rules', 'PolicyRule', 'list'] },
  ClusterRole: { 1: ['metadata', 'ObjectMeta'], 2: ['rules', 'PolicyRule', 'list'] },
  PolicyRule: {
    1: ['verbs', 'string', 'list'],
    2: ['apiGroups', 'string', 'list'],
    3: ['resources', 'string', 'list'],
    4: ['resourceNames', 'string', 'list'],
  },
  RoleBinding: BINDING,
  ClusterRoleBinding: BINDING,
  Subject: {
    1: ['kind', 'string'],
    2: ['apiGroup', 'string'],
    3: ['name', 'string'],
    4: ['namespace', 'string'],
  },
  RoleRef: { 1: ['apiGroup', 'string'], 2: ['kind', 'string'], 3: ['name', 'string'] },
  Deployment: { 1: ['metadata', 'ObjectMeta'], 2: ['spec', 'DeploymentSpec'] },
  DeploymentSpec: {
    1: ['replicas', 'int'],
    2: ['selector', 'LabelSelector'],
    3: ['template', 'PodTemplateSpec'],
  },
  LabelSelector: { 1: ['matchLabels', 'map'] },
  PodTemplateSpec: { 1: ['metadata', 'ObjectMeta'], 2: ['spec', 'PodSpec'] },
  PodSpec: { 2: ['containers', 'Container', 'list'] },
  Container: {
    1: ['name', 'string'],
    2: ['image', 'string'],
    3: ['command', 'string', 'list'],
    4: ['args', 'string', 'list'],
    6: ['ports', 'ContainerPort', 'list'],
  },
  ContainerPort: {
    1: ['name', 'string'],
    2: ['hostPort', 'int'],
    3: ['containerPort', 'int'],
    4: ['protocol', 'string'],
  },
};

/** Every answer and request begins with it. */
const MAGIC = Buffer.from('k8s\0');

function throwUnsupported(why: string): never {
  throw unsupportedMediaType(`${PROTOBUF_TYPE}: ${why}`, ['application/json', 'application/yaml']);
}

interface Reader {
  readonly buffer: Buffer;
  at: number;
}

/** Seven bits a byte, least first; the top bit says that more follow. */
function varint(reader: Reader): bigint {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.buffer[reader.at++];
    if (byte === undefined || shift > 63n) return throwUnsupported('truncated message');
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asIntN(64, value);
  }
}

/** Wire types: 0 a varint, 2 a length and that many bytes; Kubernetes' objects need no other here. */
function payload(reader: Reader, wireType: number): bigint | Buffer {
  if (wireType === 0) return varint(reader);
  if (wireType !== 2) return throwUnsupported(`wire type ${wireType}`);
  const end = Number(varint(reader)) + reader.at;
  if (end > reader.buffer.length) return throwUnsupported('truncated message');
  const bytes = reader.buffer.subarray(reader.at, end);
  reader.at = end;
  return bytes;
}

function scalar(type: string, value: bigint | Buffer): unknown {
  if (!Buffer.isBuffer(value)) return type === 'bool' ? value !== 0n : Number(value);
  if (type === 'raw') return value;
  if (type === 'bytes') return value.toString('base64');
  return type === 'string' ? value.toString() : message(type, value);
}

/** A map is a list of entries, each a message of key (1) and value (2). */
function mapEntry(type: string, bytes: Buffer): JsonObject {
  const reader = { buffer: bytes, at: 0 };
  const entry: Record<number, Buffer> = {};
  while (reader.at < bytes.length) {
    const tag = Number(varint(reader));
    entry[tag >> 3] = payload(reader, tag & 7) as Buffer;
  }
  const encoding = type === 'bytemap' ? 'base64' : 'utf8';
  return { [(entry[1] ?? Buffer.alloc(0)).toString()]: (entry[2] ?? Buffer.alloc(0)).toString(encoding) };
}

function message(type: string, buffer: Buffer): JsonObject {
  const fields = MESSAGES[type] ?? throwUnsupported(`kind ${type} is read as JSON only`);
  const reader = { buffer, at: 0 };
  const object: JsonObject = {};
  while (reader.at < buffer.length) {
    const tag = Number(varint(reader));
    const value = payload(reader, tag & 7);
    const field = fields[tag >> 3];
    if (field !== undefined) assign(object, field, value);
    else if (!isEmpty(value)) throwUnsupported(`field ${tag >> 3} of ${type} is read as JSON only`);
  }
  return object;
}

function assign(object: JsonObject, [name, type, isList]: Field, value: bigint | Buffer): void {
  if (type === 'map' || type === 'bytemap') {
    object[name] = { ...(object[name] as JsonObject | undefined), ...mapEntry(type, value as Buffer) };
  } else if (isList) object[name] = [...((object[name] as unknown[] | undefined) ?? []), scalar(type, value)];
  // An empty text is how this encoding writes an absent one.
  else if (type !== 'string' || (value as Buffer).length > 0) object[name] = scalar(type, value);
}

/** Structs are always written, so what holds only emptiness was not filled in. */
function isEmpty(value: bigint | Buffer): boolean {
  if (!Buffer.isBuffer(value)) return value === 0n;
  if (value.length === 0) return true;
  try {
    const reader = { buffer: value, at: 0 };
    while (reader.at < value.length) {
      const tag = Number(varint(reader));
      if (!isEmpty(payload(reader, tag & 7))) return false;
    }
    return true;
  } catch {
    return false;
  }
}

export function parseProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC))
    throwUnsupported('the body does not begin with the magic number');
  const envelope = message('Unknown', body.subarray(MAGIC.length));
  const { apiVersion, kind } = envelope.typeMeta as { apiVersion?: string; kind?: string };
  return { apiVersion, kind, ...message(String(kind), envelope.raw as Buffer) };
}
