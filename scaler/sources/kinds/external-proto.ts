/** The messages of KEDA's external scaler (package externalscaler), on the wire. */
import protobuf from 'protobufjs/minimal.js';
import type { Reader } from 'protobufjs/minimal.js';

export interface ScaledObjectRef {
  readonly name: string;
  readonly namespace: string;
  readonly scalerMetadata: Readonly<Record<string, string>>;
}

export interface MetricSpec {
  readonly metricName: string;
  /** What one pod can take. */
  readonly target: number;
}

export interface MetricValue {
  readonly metricName: string;
  readonly value: number;
}

const { Reader: ProtoReader, Writer } = protobuf;
/** Field number and wire type. */
const TEXT = (field: number): number => field * 8 + 2;

export function encodeRef(ref: ScaledObjectRef): Buffer {
  return Buffer.from(writeRef(Writer.create(), ref).finish());
}

function writeRef(
  writer: protobuf.Writer,
  { name, namespace, scalerMetadata }: ScaledObjectRef,
): protobuf.Writer {
  writer.uint32(TEXT(1)).string(name).uint32(TEXT(2)).string(namespace);
  for (const [key, value] of Object.entries(scalerMetadata))
    writer.uint32(TEXT(3)).fork().uint32(TEXT(1)).string(key).uint32(TEXT(2)).string(value).ldelim();
  return writer;
}

export function encodeMetricsRequest({
  ref,
  metricName,
}: {
  ref: ScaledObjectRef;
  metricName: string;
}): Buffer {
  const writer = Writer.create();
  writeRef(writer.uint32(TEXT(1)).fork(), ref).ldelim();
  return Buffer.from(writer.uint32(TEXT(2)).string(metricName).finish());
}

/** Reads the fields of one message; those that `take` does not take are skipped. */
function each(reader: Reader, end: number, take: (field: number) => boolean): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (!take(tag >>> 3)) reader.skipType(tag & 7);
  }
}

export function decodeIsActive(bytes: Buffer): boolean {
  const reader = ProtoReader.create(bytes);
  let isActive = false;
  each(reader, reader.len, (field) => {
    if (field === 1) isActive = reader.bool();
    return field === 1;
  });
  return isActive;
}

/** Repeated messages of a name, a whole number that is out of date, and a number that counts if it is not 0. */
function decodeNumbers(bytes: Buffer): { metricName: string; number: number }[] {
  const reader = ProtoReader.create(bytes);
  const all: { metricName: string; number: number }[] = [];
  each(reader, reader.len, (field) => {
    if (field === 1) all.push(decodeNumber(reader, reader.uint32()));
    return field === 1;
  });
  return all;
}

function decodeNumber(reader: Reader, length: number): { metricName: string; number: number } {
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError('a message that ends too early');
  let [metricName, whole, float] = ['', 0, 0];
  each(reader, end, (field) => {
    if (field === 1) metricName = reader.string();
    else if (field === 2) whole = Number(reader.int64());
    else if (field === 3) float = reader.double();
    else return false;
    return true;
  });
  return { metricName, number: float === 0 ? whole : float };
}

export function decodeMetricSpecs(bytes: Buffer): MetricSpec[] {
  return decodeNumbers(bytes).map(({ metricName, number }) => ({ metricName, target: number }));
}

export function decodeMetricValues(bytes: Buffer): MetricValue[] {
  return decodeNumbers(bytes).map(({ metricName, number }) => ({ metricName, value: number }));
}
