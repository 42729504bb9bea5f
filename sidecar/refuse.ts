/** Calls that go back to their proxy untouched: it has a better place for them. A body stays unread. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HEADER, type RefusalReason } from '../common/names.ts';
import { cutUnreadBody } from '../common/reason-answer.ts';
import type { SidecarContext } from './context.ts';

type Refusing = Pick<SidecarContext, 'stats' | 'admission'>;

export function refuse({ stats, admission }: Refusing, res: ServerResponse, reason: RefusalReason): void {
  stats.refuse(reason);
  res.writeHead(503, [HEADER.refused, reason, HEADER.load, admission.load, 'Content-Length', '0']);
  res.end();
  cutUnreadBody(res.req);
}

export function refuseUpgrade({ stats, admission }: Refusing, socket: Duplex, reason: RefusalReason): void {
  stats.refuse(reason);
  const load = `${HEADER.load}: ${admission.load}`;
  const head = `HTTP/1.1 503 Service Unavailable\r\n${HEADER.refused}: ${reason}\r\n${load}\r\n`;
  socket.end(`${head}Content-Length: 0\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}
