/** Calls that go back to their proxy untouched: it has a better place for them. A body stays unread. */
import { troubleText } from '../../common/bus/messages.ts';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HEADER, type RefusalReason } from '../../common/function/names.ts';
import { cutUnreadBody } from '../../common/runtime/reason-answer.ts';
import type { SidecarContext } from '../context.ts';

type Refusing = Pick<SidecarContext, 'stats' | 'admission' | 'trouble'>;

export function refuse(
  { stats, admission, trouble }: Refusing,
  res: ServerResponse,
  reason: RefusalReason,
): void {
  stats.refuse(reason);
  const { why } = trouble;
  const cause = why === undefined ? [] : [HEADER.trouble, troubleText(why)];
  res.writeHead(503, [HEADER.refused, reason, HEADER.load, admission.load, ...cause, 'Content-Length', '0']);
  res.end();
  cutUnreadBody(res.req);
}

export function refuseUpgrade(
  { stats, admission, trouble }: Refusing,
  socket: Duplex,
  reason: RefusalReason,
): void {
  stats.refuse(reason);
  const load = `${HEADER.load}: ${admission.load}`;
  const { why } = trouble;
  const cause = why === undefined ? '' : `${HEADER.trouble}: ${troubleText(why)}\r\n`;
  const head = `HTTP/1.1 503 Service Unavailable\r\n${HEADER.refused}: ${reason}\r\n${load}\r\n${cause}`;
  socket.end(`${head}Content-Length: 0\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}
