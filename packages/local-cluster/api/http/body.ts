/** Reading a request's body: JSON, YAML or the little protobuf that kubectl insists on; bounded. */
import type { IncomingMessage } from 'node:http';
import { parse } from 'yaml';
import { ApiError, badRequest, unsupportedMediaType } from '../objects/api-errors.ts';
import { parseProtobuf, PROTOBUF_TYPE } from './protobuf.ts';

/** What etcd lets a real API server store, and what it answers beyond that. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** Without parameters: `application/json; charset=utf-8` is `application/json`. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}

/** The limit is checked while reading: a body without a length must not fill the memory first. */
async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      const why = `Request entity too large: limit is ${MAX_BODY_BYTES}`;
      throw new ApiError(413, 'RequestEntityTooLarge', why);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Undefined when there is none. Any `+json` type is JSON: patches have such types. */
export async function readRequestBody(request: IncomingMessage): Promise<unknown> {
  const type = mediaType(request);
  const bytes = await readBytes(request);
  if (bytes.length === 0) return undefined;
  if (type === PROTOBUF_TYPE) return parseProtobuf(bytes);
  const text = bytes.toString();
  const isYaml = type.endsWith('yaml');
  if (!isYaml && type !== '' && type !== '*/*' && !/^application\/(.*\+)?json$/.test(type)) {
    throw unsupportedMediaType(type, ['application/json', 'application/yaml']);
  }
  try {
    return isYaml ? (parse(text) as unknown) : (JSON.parse(text) as unknown);
  } catch (error) {
    throw badRequest(`the request's body cannot be read: ${(error as Error).message}`);
  }
}
