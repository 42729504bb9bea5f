/** The kernel's tables of sockets: the real ones, and what may stand in them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, it } from 'node:test';
import {
  acceptedSoFar,
  isLoopback,
  parseRow,
  passiveOpens,
  readTable,
  TCP_STATE,
  toAddress,
  type Row,
} from '../../../sidecar/direct/proc-net.ts';
import { waitFor } from '../../helpers/wait.ts';
import { line, line6 } from './lines.ts';

async function rowsOf(text: string, maxBytes?: number): Promise<{ rows: Row[]; isWhole: boolean }> {
  const dir = await mkdtemp(join(tmpdir(), 'proc-net-'));
  try {
    const path = join(dir, 'tcp');
    await writeFile(path, text);
    const rows: Row[] = [];
    const isWhole = await readTable(path, (row) => void rows.push(row), maxBytes);
    return { rows, isWhole };
  } finally {
    await rm(dir, { recursive: true });
  }
}

describe('one line', () => {
  it('of tcp: addresses, ports and state', () => {
    const row = parseRow(line('10.0.0.7:5000', '10.0.1.9:40123', TCP_STATE.established));
    assert.ok(row);
    assert.deepEqual([toAddress(row.localAddress), row.localPort], ['10.0.0.7', 5000]);
    assert.deepEqual([toAddress(row.remoteAddress), row.remotePort], ['10.0.1.9', 40_123]);
    assert.deepEqual([row.state, row.isMoving], [TCP_STATE.established, false]);
  });

  it('of tcp6: an IPv4 address in it is that IPv4 address', () => {
    const row = parseRow(line6('10.0.0.7:5000', '10.0.1.9:40123', TCP_STATE.established));
    assert.ok(row);
    const plain = parseRow(line('10.0.0.7:5000', '10.0.1.9:40123', TCP_STATE.established));
    assert.deepEqual(row, plain);
  });

  it('moves while a byte waits to be sent, to be read, or to be acknowledged', () => {
    for (const queues of ['00000001:00000000 00', '00000000:00000001 00', '00000000:00000000 01'])
      assert.equal(parseRow(line('10.0.0.7:1', '10.0.1.9:2', 1, queues))?.isMoving, true, queues);
    assert.equal(parseRow(line('10.0.0.7:1', '10.0.1.9:2', 1, '00000000:00000000 02'))?.isMoving, false);
  });

  it('that is none is passed over', () => {
    const garbage = [
      '',
      '  sl  local_address rem_address   st',
      'x'.repeat(1_000_000),
      '   0: 0100007F:1F90 zz',
      '\0',
    ];
    for (const text of garbage) assert.equal(parseRow(text), undefined);
  });

  it('loopback: 127.0.0.0/8, ::1, and as IPv4 in IPv6', () => {
    const of = (text: string | undefined) => isLoopback(parseRow(text ?? '')?.remoteAddress ?? '');
    assert.equal(of(line('10.0.0.7:1', '127.9.8.7:2', 1)), true);
    assert.equal(of(line6('10.0.0.7:1', '127.9.8.7:2', 1)), true);
    assert.equal(of(line('10.0.0.7:1', '10.127.0.1:2', 1)), false);
  });
});

describe('a table', () => {
  it('of 5,000 sockets, and lines that are cut by what one read gives', async () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => line('10.0.0.7:5000', `10.0.1.9:${10_000 + i}`, 1));
    const { rows, isWhole } = await rowsOf(`  sl header\n${lines.join('\n')}\n`);
    assert.equal(isWhole, true);
    assert.deepEqual(new Set(rows.map(({ remotePort }) => remotePort)).size, 5_000);
  });

  it('is read up to its bound, and says that it was cut', async () => {
    const text = `${line('10.0.0.7:5000', '10.0.1.9:10000', 1)}\n`.repeat(20_000);
    const { rows, isWhole } = await rowsOf(text);
    assert.equal(isWhole, false);
    assert.ok(rows.length > 1_000 && rows.length < 10_000, String(rows.length));
  });

  it('without a line end, for ever, costs no more than its bound', async () => {
    const { rows, isWhole } = await rowsOf('7'.repeat(3_000_000));
    assert.deepEqual([rows.length, isWhole], [0, false]);
  });

  it('the real one shows a real connection, at both ends', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [import('node:net').Socket];
    try {
      const expected = [TCP_STATE.established, TCP_STATE.established, TCP_STATE.listen];
      const seen = async (): Promise<boolean> => {
        const states: number[] = [];
        const take = ({ localPort, remotePort, state }: Row): void => {
          if (localPort === port || remotePort === port) states.push(state);
        };
        await readTable('/proc/self/net/tcp', take, 64 * 1024 * 1024);
        return isDeepStrictEqual(
          states.toSorted((a, b) => a - b),
          expected,
        );
      };
      // A table that others change while it is read may show a line twice or not at all.
      await waitFor(seen, { what: 'both ends and the listener are shown' });
    } finally {
      accepted.destroy();
      socket.destroy();
      server.close();
    }
  });
});

describe('the count of accepted connections', () => {
  it('of this machine grows with a connection', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const before = acceptedSoFar('/proc/self/net/snmp');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    const after = acceptedSoFar('/proc/self/net/snmp');
    assert.ok(before !== undefined && after !== undefined && after > before, `${before} → ${after}`);
    socket.destroy();
    server.close();
  });

  it('is not told by what is no such file', () => {
    for (const text of ['', 'Tcp: A B\n', 'Tcp: PassiveOpens\nTcp: x\n', 'Tcp: PassiveOpens\nTcp: -1\n'])
      assert.equal(passiveOpens(text), undefined, text);
    assert.equal(passiveOpens('Ip: 1\nTcp: A PassiveOpens\nTcp: 1 7\n'), 7);
    assert.equal(acceptedSoFar('/nowhere/snmp'), undefined);
  });
});
