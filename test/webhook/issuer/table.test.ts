/**
 * Each cell of docs/reference/bus.md, on a real server that knows the accounts as the chart's does, with JWTs that the
 * real exchange has made.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect } from 'nats';
import { CLIENTS, filledIn, mayDo, SUBJECTS, type Way } from '../../../docs/bus-table.ts';
import type { TestNats } from '../../helpers/nats.ts';
import { startTestBus, type TestBus } from './bus.ts';
import { openClient } from './clients.ts';

/** No wildcard is in what is published: tokens that stand for it. */
const literal = (subject: string): string => subject.replaceAll('*', '7').replaceAll('>', '1.7.7.0.0');

describe('each identity and each subject', () => {
  const releases: (() => unknown)[] = [];
  const atEnd = (release: () => unknown): void => void releases.unshift(release);
  let bus: TestBus;
  let nats: TestNats;
  before(async () => {
    bus = await startTestBus(atEnd);
    nats = await bus.startNats();
  });
  after(async () => {
    for (const release of releases) await release();
  });

  const heard = SUBJECTS.map(filledIn);
  const said = [...new Set(heard.map(literal))];
  const refusedBy = (name: string, way: Way, subjects: readonly string[]): string[] =>
    subjects.filter((subject) => !mayDo(CLIENTS[name], way, subject)).map((subject) => `${way} ${subject}`);

  for (const [name, client] of Object.entries(CLIENTS))
    if (client)
      it(`${name}: may say and hear what the table says, and nothing else`, async () => {
        const { refused } = await openClient({ bus, nats, atEnd }, client);
        const publishing = await refused((connection) => {
          for (const subject of said) connection.publish(subject);
        });
        assert.deepEqual(publishing, refusedBy(name, 'publish', said));
        const subscribing = await refused((connection) => {
          for (const subject of heard) connection.subscribe(subject, { callback: () => undefined });
        });
        assert.deepEqual(subscribing, refusedBy(name, 'subscribe', heard));
      });

  it('nobody may say or hear anything: the server ends the connection', async () => {
    const tls = { ca: bus.ca, servername: 'localhost' } as object;
    const at = { servers: [`${nats.host}:${nats.port}`], reconnect: false, timeout: 2_000, tls };
    await assert.rejects(connect(at), /Authorization Violation/);
  });

  it('the table is no empty one: what counts most stands in it', () => {
    const may = (name: string, way: Way, subject: string) => mayDo(CLIENTS[name], way, subject);
    assert.ok(may('its sidecar', 'publish', 'slimfaas.ready.shop.cart%2Ev2.cart-1'));
    for (const name of ['its sibling', 'another function', 'another namespace', 'nobody', 'proxy'])
      assert.ok(!may(name, 'publish', 'slimfaas.ask.shop.cart%2Ev2.cart-1'), name);
    for (const name of Object.keys(CLIENTS)) {
      assert.ok(!may(name, 'subscribe', '>'), name);
      assert.ok(!may(name, 'subscribe', 'slimfaas.job.>'), name);
      assert.equal(may(name, 'publish', '$JS.API.STREAM.DELETE.SLIMFAAS_JOBS'), name === 'scaler');
      assert.equal(may(name, 'publish', 'slimfaas.job.shop.pay'), name === 'scaler' || name === 'proxy');
    }
  });
});
