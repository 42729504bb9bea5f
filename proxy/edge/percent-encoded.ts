/** Text for a header, and for the status of gRPC: what is not printable ASCII, and "%", is percent-encoded as UTF-8. */
export function percentEncoded(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
