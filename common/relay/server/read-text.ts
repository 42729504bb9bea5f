/** The body of a small request, whole. */
import type { IncomingMessage } from 'node:http';

/**
 * Reads no more than `maxBytes`. The connection stays open when the body is too large, so that the caller sees the
 * answer.
 * @throws what `tooLarge` returns
 */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** {@link readBody} as text in UTF-8. */
export async function readText(...request: Parameters<typeof readBody>): Promise<string> {
  return (await readBody(...request)).toString('utf8');
}
