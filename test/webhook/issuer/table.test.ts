/**
 * Each cell of docs/reference/bus.md, on a real server that knows the accounts as the chart's does, with JWTs that the
 * real exchange has made.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { connect, jwtAuthenticator, type NatsConnection } from 'nats';
import { createNkey } from '../../../common/identity/nkey.ts';
import { CLIENTS, filledIn, mayDo, SUBJECTS, type Way } from '../../../docs/bus-table.ts';
import type { TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTestBus, type TestBus } from './bus.ts';
import { openClient } from './clients.ts';

/** No wildcard is in what is published: tokens that stand for it. */
const literal = (subject: string): string => subject.replaceAll('*', '7').replaceAll('>', '1.7.7.0.0');

/** As a sidecar of the version before asks: it says no contract. */
function exchanged(bus: TestBus, body: object): Promise<{ jwt?: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${bus.url}/exchange`,
      { method: 'POST', ca: bus.ca, agent: false },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve(JSON.parse(text) as { jwt?: string }));
      },
    );
    outgoing.on('error', reject).end(JSON.stringify(body));
  });
}

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
  // With wildcards as they are, too: a server takes them in what is published, and JetStream reads them as wildcards.
  const said = [...new Set([...heard.map(literal), ...heard])];
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

  it('a sidecar of the version before: everything of CORE while oldSidecars is set, and nothing else', async () => {
    const open = await startTestBus(atEnd, 3_600_000, true);
    const server = await open.startNats();
    const at = { bus: open, nats: server, atEnd };
    const user = createNkey('user');
    const asOld = async (bus: TestBus, to: TestNats): Promise<NatsConnection> => {
      const token = (await readFile(await bus.tokenFile('shop', 'default'), 'utf8')).trim();
      const of = { function: 'cart.v2', grant: bus.grant('shop', 'cart.v2') };
      const { jwt = '' } = await exchanged(bus, { token, user: user.publicKey, ...of });
      const tls = { ca: bus.ca, servername: 'localhost' } as object;
      const authenticator = jwtAuthenticator(jwt, Buffer.from(user.seed));
      const servers = `${to.host}:${to.port}`;
      const connection = await connect({ servers, reconnect: false, tls, authenticator });
      atEnd(() => connection.close());
      return connection;
    };
    const old = await asOld(open, server);
    const heardByOld: string[] = [];
    old.subscribe('>', { callback: (_, { subject }) => heardByOld.push(subject) });
    const proxy = await openClient(at, { role: 'proxy', pod: 'proxy-1' });
    await old.flush();
    proxy.connection.publish('slimfaas.job.bank.pay');
    await waitFor(() => heardByOld.includes('slimfaas.job.bank.pay'), {
      what: 'it hears what is not its own',
    });
    for (const subject of said) old.publish(subject);
    await old.flush();
    assert.equal(old.isClosed(), false);
    await assert.rejects(asOld(bus, nats), /Authorization Violation|JWT|old-sidecar/);
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
