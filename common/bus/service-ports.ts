/**
 * proxy → scaler: on which ports a proxy takes connections for Services, once per second and at each change. A slice
 * names a proxy only for ports that it has said here. Ports come in ranges, because they are given out in a row.
 */
import { MessageError } from '../runtime/errors.ts';
import { parseMessage } from './messages.ts';

export const SERVICE_PORTS_SUBJECT = 'slimfaas.service-ports';

export interface ServicePortsMessage {
  /** The proxy's pod. */
  readonly pod: string;
  readonly ports: readonly number[];
}

/** The longest name in Kubernetes, in characters. */
const MOST_NAME = 253;
/** Every second port alone is 197 KB. */
const MOST_BYTES = 512 * 1_024;
/** As many ports as there are. */
const MOST_PORTS = 65_535;

export function encodeServicePorts({ pod, ports }: ServicePortsMessage): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ pod, ports: toRanges(ports) }));
}

/** @throws MessageError */
export function decodeServicePorts(data: Uint8Array): ServicePortsMessage {
  const { pod, ports } = parseMessage(data, MOST_BYTES);
  if (typeof pod !== 'string' || typeof ports !== 'string')
    throw new MessageError('service-ports: pod, ports: text');
  if (pod.length > MOST_NAME) throw new MessageError(`service-ports: pod: longer than ${MOST_NAME}`);
  return { pod, ports: fromRanges(ports) };
}

/** `20000-20003,20010` */
function toRanges(ports: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const port of ports.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && port <= last[1] + 1) last[1] = port;
    else ranges.push([port, port]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

function fromRanges(text: string): number[] {
  const ports: number[] = [];
  for (const range of text === '' ? [] : text.split(',')) {
    const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range) ?? [];
    if (from === undefined || Number(to) > MOST_PORTS)
      throw new MessageError(`service-ports: ${range} are no ports`);
    for (let port = Number(from); port <= Number(to); port++) {
      if (ports.length === MOST_PORTS) throw new MessageError('service-ports: more ports than there are');
      ports.push(port);
    }
  }
  return ports;
}
