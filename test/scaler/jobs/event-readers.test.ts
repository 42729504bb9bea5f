/** Readers of events that pods ask for: who makes them, who takes over what is left, and how many wait. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Asker } from '../../../common/bus/asks.ts';
import { eventSubject, everyEventOf, functionSubject } from '../../../common/bus/subjects.ts';
import { eventConsumerName } from '../../../common/queue/jetstream/names.ts';
import { EVENTS_STREAM, JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import type { Upkeep } from '../../../common/queue/upkeep.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { EventReaders, type EventReadersOptions } from '../../../scaler/jobs/event-readers.ts';
import { jobSettings, startJetStream, type TestJetStream } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';

const FN = { namespace: 'ns', name: 'fn' };
const POD: Asker = { id: FN, pod: 'fn-1' };

function readersOf(options: Partial<EventReadersOptions> & Pick<EventReadersOptions, 'queue'>): EventReaders {
  const base = { settings: jobSettings, isLeader: () => true, isOurs: () => true, now: Date.now };
  return new EventReaders({ ...base, log: silentLog, ...options });
}

const readerOf = ({ jsm }: TestJetStream, pod: string) =>
  jsm.consumers.info(EVENTS_STREAM, eventConsumerName('ns', pod));

async function publish({ js }: TestJetStream, events: number): Promise<void> {
  for (let i = 0; i < events; i++)
    await js.publish(eventSubject(FN, 'paid'), new TextEncoder().encode(`event ${i}`));
}

async function jobs({ jsm }: TestJetStream): Promise<number> {
  const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: functionSubject('job', FN) });
  return state.messages;
}

describe('readers of events', () => {
  it('are made by every scaler, and are one', async () => {
    await using t = await startJetStream();
    const queue = jetStreamUpkeep(t.link);
    const sinceMs = Date.now() - 5_000;
    const scalers = [true, false].map((is) => readersOf({ queue, isLeader: () => is }));
    const answers = await Promise.all(scalers.map((readers) => readers.open(POD, sinceMs)));
    assert.deepEqual(answers, [{ isGranted: true }, { isGranted: true }]);
    const { config } = await readerOf(t, 'fn-1');
    assert.equal(config.filter_subject, everyEventOf(FN));
    assert.equal(Date.parse(config.opt_start_time ?? ''), sinceMs);
    assert.deepEqual(
      await scalers[0]?.open(POD, sinceMs + 1),
      { isGranted: true },
      'again it changes nothing',
    );
  });

  it('begin now at the latest, whatever the clock of the pod says', async () => {
    await using t = await startJetStream();
    const nowMs = Date.now();
    const readers = readersOf({ queue: jetStreamUpkeep(t.link), now: () => nowMs });
    await readers.open(POD, nowMs + 3_600_000);
    const { config } = await readerOf(t, 'fn-1');
    assert.equal(Date.parse(config.opt_start_time ?? ''), nowMs);
  });

  it('that cannot be made are refused with the reason; for another’s functions nothing is said', async () => {
    await using t = await startJetStream();
    const queue = jetStreamUpkeep(t.link);
    const readers = readersOf({ queue, isOurs: (namespace) => namespace === 'ns' });
    await readers.open(POD, 0);
    const other = await readers.open({ id: { namespace: 'ns', name: 'other' }, pod: 'fn-1' }, 0);
    assert.match(
      other?.isGranted === false ? other.why : '',
      /consumer ns__fn-1 reads slimfaas\.event\.ns\.\*\.fn, not/,
    );
    assert.equal(await readers.open({ id: { namespace: 'theirs', name: 'fn' }, pod: 'p' }, 0), undefined);
    assert.equal(readers.handOver({ id: { namespace: 'theirs', name: 'fn' }, pod: 'p' }, 0), undefined);
    await t.jsm.streams.delete(EVENTS_STREAM);
    const none = await readers.open({ id: FN, pod: 'fn-2' }, 0);
    assert.match(none?.isGranted === false ? none.why : '', /stream not found/);
    const away = readersOf({ queue: { live: undefined } });
    assert.deepEqual([await away.open(POD, 0), away.handOver(POD, 0)], [undefined, undefined]);
  });

  it('of a pod that ends are emptied by the leader alone, at once and whatever their number', async () => {
    await using t = await startJetStream();
    const queue = jetStreamUpkeep(t.link);
    const follower = readersOf({ queue, isLeader: () => false });
    const leader = readersOf({ queue });
    await leader.open(POD, Date.now() - 60_000);
    await publish(t, 450);
    assert.equal(follower.handOver(POD, 0), undefined);
    assert.equal(await jobs(t), 0);
    assert.deepEqual(leader.handOver(POD, 0), { isGranted: true });
    await waitFor(async () => (await jobs(t)) === 450, { what: 'all are jobs', timeoutMs: 60_000 });
    assert.deepEqual([leader.hasLeft(POD), follower.hasLeft(POD)], [true, false]);
    assert.ok(await readerOf(t, 'fn-1'), 'more may come for it');
    await leader.open(POD, 0);
    assert.equal(leader.hasLeft(POD), false, 'a drain was taken back');
  });

  it('of a pod that had none yet are made, for what came since its start', async () => {
    await using t = await startJetStream();
    const readers = readersOf({ queue: jetStreamUpkeep(t.link) });
    await publish(t, 2);
    readers.handOver(POD, Date.now() - 60_000);
    await waitFor(async () => (await jobs(t)) === 2, { what: 'both are jobs' });
    readers.keepOnly([POD]);
    assert.equal(readers.hasLeft(POD), true);
    readers.keepOnly([]);
    assert.equal(readers.hasLeft(POD), false, 'it has no reader any more');
  });

  it('are made a few at a time, and so many wait; a pod that asks again waits once', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let running = 0;
    let most = 0;
    let made = 0;
    const live = {
      async openReader() {
        most = Math.max(most, (running += 1));
        await promise;
        running -= 1;
        made += 1;
      },
    } as unknown as Upkeep;
    const readers = readersOf({ queue: { live }, mostWishes: 40 });
    const ask = (i: number) => readers.open({ id: FN, pod: `fn-${i}` }, 0);
    const asked = Array.from({ length: 40 }, (_, i) => ask(i));
    assert.equal(await ask(40), undefined, 'there are too many');
    const again = ask(7);
    assert.equal(readers.waiting, 40);
    resolve();
    assert.ok((await Promise.all([...asked, again])).every((answer) => answer?.isGranted));
    assert.deepEqual([most, made, readers.waiting], [16, 40, 0]);
    assert.deepEqual(await ask(40), { isGranted: true }, 'there is room again');
  });
});
