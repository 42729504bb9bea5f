/**
 * One question to a NATS server of a tenant, on a connection of its own that ends with the answer. The server is a
 * stranger. So all that it may say in a poll fits in one buffer, and the signal ends the connection in each state. The
 * usual library promises neither (docs/decisions/sources.md).
 */
import { randomUUID } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Credentials } from '../source-rules.ts';
import { SourceWire } from './source-wire.ts';

export interface NatsQuestion {
  /** That was judged. */
  readonly address: string;
  readonly port: number;
  /** That the certificate is for; undefined: without TLS. */
  readonly tlsHost: string | undefined;
  readonly credentials: Credentials;
  readonly subject: string;
}

/** What a server may send in all: its INFO, and one answer. */
const MAX_NATS_BYTES = 64 * 1024;
const ERROR_LENGTH = 200;

/** @returns the answer's payload. @throws what the server says, what the network says, or the signal's reason */
export async function askNats(question: NatsQuestion, signal: AbortSignal): Promise<string> {
  const wire = new SourceWire(MAX_NATS_BYTES, signal);
  try {
    wire.use(connectTcp({ host: question.address, port: question.port }));
    const info = readInfo(await wire.line());
    if (question.tlsHost === undefined && info.tls_required === true)
      throw new Error('the server requires TLS: its Url begins with tls://');
    if (question.tlsHost !== undefined) wire.use(secured(wire.handOver(), question.tlsHost, question));
    wire.write(`CONNECT ${JSON.stringify(loginOf(question))}\r\nPING\r\n`);
    await next(wire, 'PONG');
    const inbox = `_INBOX.${randomUUID()}`;
    wire.write(`SUB ${inbox} 1\r\nPUB ${question.subject} ${inbox} 0\r\n\r\n`);
    return await readMessage(wire, await next(wire, 'MSG', 'HMSG'));
  } finally {
    wire.close();
  }
}

interface ServerInfo {
  readonly tls_required?: unknown;
}

function readInfo(line: string): ServerInfo {
  const [verb, json = ''] = split(line);
  if (verb !== 'INFO') throw new Error('it is no NATS server: it does not begin with INFO');
  return (JSON.parse(json) ?? {}) as ServerInfo;
}

function secured(socket: Socket, host: string, { credentials: { ca, cert, key } }: NatsQuestion): Socket {
  const name = host.replace(/^\[|\]$/g, '');
  // An address is checked against the certificate too, and is no name to ask for.
  return connectTls({ socket, host: name, servername: isIP(name) === 0 ? name : '', ca, cert, key });
}

function loginOf({ credentials: { token, username, password }, tlsHost }: NatsQuestion): object {
  const login = token !== undefined ? { auth_token: token } : { user: username, pass: password ?? '' };
  return {
    verbose: false,
    pedantic: false,
    lang: 'node',
    version: '1',
    name: 'slimfaas scaler',
    tls_required: tlsHost !== undefined,
    // A subject that nobody listens to is answered at once.
    headers: true,
    no_responders: true,
    ...(token === undefined && username === undefined ? {} : login),
  };
}

/** The next line with one of these verbs. */
async function next(wire: SourceWire, ...verbs: readonly string[]): Promise<string> {
  for (;;) {
    const line = await wire.line();
    const [verb, rest] = split(line);
    if (verbs.includes(verb)) return line;
    if (verb === '-ERR') throw new Error(`the server says ${rest.slice(0, ERROR_LENGTH)}`);
    if (verb === 'PING') wire.write('PONG\r\n');
    else if (verb !== '+OK' && verb !== 'INFO' && verb !== 'PONG')
      throw new Error('the server speaks no NATS');
  }
}

/** `MSG subject sid [reply] bytes`, or `HMSG subject sid [reply] headerBytes allBytes`. */
async function readMessage(wire: SourceWire, line: string): Promise<string> {
  const words = line.trim().split(/\s+/);
  const size = Number(words.at(-1));
  const headerSize = words[0]?.toUpperCase() === 'HMSG' ? Number(words.at(-2)) : 0;
  if (!Number.isSafeInteger(size) || !(headerSize >= 0 && headerSize <= size))
    throw new Error('the server speaks no NATS');
  const message = await wire.bytes(size);
  const header = message.toString('utf8', 0, headerSize);
  if (header.startsWith('NATS/1.0 503')) throw new Error('nothing answers there: JetStream is not on');
  return message.toString('utf8', headerSize);
}

function split(line: string): [verb: string, rest: string] {
  const [verb = ''] = line.split(/\s/, 1);
  return [verb.toUpperCase(), line.slice(verb.length).trim()];
}
