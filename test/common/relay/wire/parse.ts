/**
 * The response parser on given bytes, cut at given places: what it made of them, as one value to compare.
 */
import { ResponseParser, type ResponseHandler } from '../../../../common/relay/wire/response-parser.ts';
import type { RawHeaders } from '../../../../common/relay/index.ts';

export interface Parsed {
  status: number;
  statusText: string;
  headers: RawHeaders;
  keepAlive: boolean;
  keepAliveMs: number;
  informational: number[];
  body: string;
  trailers: RawHeaders | undefined;
  isDone: boolean;
  /** Bytes that came behind the answer. */
  rest: string;
  error: Error | undefined;
  /** What {@link ResponseParser.finish} said when the bytes were over. */
  finished: boolean | undefined;
}

export function parseWhole(bytes: string, isHead = false): Parsed {
  return parseAt(bytes, [], isHead);
}

/** @param cuts ascending positions at which a new read begins */
export function parseAt(bytes: string, cuts: readonly number[], isHead = false): Parsed {
  const parsed: Parsed = {
    status: 0,
    statusText: '',
    headers: [],
    keepAlive: false,
    keepAliveMs: 0,
    informational: [],
    body: '',
    trailers: undefined,
    isDone: false,
    rest: '',
    error: undefined,
    finished: undefined,
  };
  const parser = new ResponseParser(65_536);
  parser.begin(recorder(parsed), isHead);
  try {
    feedPieces(parser, bytes, cuts, parsed);
    parsed.isDone = parser.isDone;
    parsed.finished = parser.finish();
  } catch (error) {
    parsed.error = error as Error;
  }
  return parsed;
}

function recorder(parsed: Parsed): ResponseHandler {
  return {
    onInformational(head) {
      parsed.informational.push(head.status);
    },
    onHead({ head, keepAlive, keepAliveMs }) {
      Object.assign(parsed, head, { keepAlive, keepAliveMs });
    },
    onData(chunk) {
      parsed.body += chunk.toString('latin1');
    },
    onEnd(trailers) {
      parsed.trailers = trailers;
    },
  };
}

/** One buffer for every read, as a connection has it: whoever keeps a slice of it is found out. */
const SHARED = Buffer.alloc(262_144);

function feedPieces(parser: ResponseParser, bytes: string, cuts: readonly number[], parsed: Parsed): void {
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    const size = SHARED.write(bytes.slice(from, to), 'latin1');
    const used = parser.feed(SHARED.subarray(0, size));
    parsed.rest += bytes.slice(from + used, to);
    SHARED.fill(0, 0, size);
    from = to;
  }
}
