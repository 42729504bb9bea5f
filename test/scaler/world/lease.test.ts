/** Election by Lease, with a store and a clock of the test's own: who leads when, and never two at once. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import {
  createElection,
  type ElectionOptions,
  type Election,
  type LeaseRecord,
  type LeaseStore,
} from '../../../scaler/world/lease.ts';
import { waitFor } from '../../helpers/wait.ts';

type Candidacy = ElectionOptions & {
  readonly identity: string;
  readonly onChange: (isLeader: boolean) => void;
};

function startElection({ identity, onChange, ...options }: Candidacy): Election {
  const election = createElection(options);
  election.onChange(onChange);
  election.start(identity);
  return election;
}

const conflict = () => Object.assign(new Error('conflict'), { code: 409 });

/** One Lease, with the API server's rules: create once, update only what was read. */
class FakeStore implements LeaseStore {
  record: LeaseRecord | undefined;
  isAway = false;
  reads = 0;
  #version = 0;

  async read(): Promise<LeaseRecord | undefined> {
    this.reads++;
    if (this.isAway) throw new Error('connection refused');
    return this.record;
  }

  async create(record: LeaseRecord): Promise<LeaseRecord> {
    if (this.isAway) throw new Error('connection refused');
    if (this.record) throw conflict();
    return this.#write(record);
  }

  async update(record: LeaseRecord): Promise<LeaseRecord> {
    if (this.isAway) throw new Error('connection refused');
    if (record.resourceVersion !== this.record?.resourceVersion) throw conflict();
    return this.#write(record);
  }

  #write(record: LeaseRecord): LeaseRecord {
    this.record = { ...record, resourceVersion: String(++this.#version) };
    return this.record;
  }
}

/** The store as one candidate reaches it; it can be cut off from it alone. */
function through(store: FakeStore): LeaseStore & { isCut: boolean } {
  const guard = async <T>(call: () => Promise<T>) => {
    if (link.isCut) throw new Error('no route');
    return call();
  };
  const link = {
    isCut: false,
    read: () => guard(() => store.read()),
    create: (record: LeaseRecord) => guard(() => store.create(record)),
    update: (record: LeaseRecord) => guard(() => store.update(record)),
  };
  return link;
}

interface Candidate {
  readonly election: Election;
  readonly changes: boolean[];
}

const TIMES = { durationMs: 600, renewDeadlineMs: 400, retryMs: 50 };

function candidate(t: TestContext, identity: string, store: LeaseStore, times = TIMES): Candidate {
  const changes: boolean[] = [];
  const election = startElection({
    ...times,
    identity,
    store,
    now: () => performance.now(),
    log: silentLog,
    onChange: (isLeader) => changes.push(isLeader),
  });
  t.after(() => election.stop());
  return { election, changes };
}

const leads = ({ election }: Candidate, what = 'it leads') =>
  waitFor(() => election.isLeader(), { what, timeoutMs: 5_000, intervalMs: 2 });

test('the first to write leads, the others know who does', async (t) => {
  const store = new FakeStore();
  const a = candidate(t, 'a@10.0.0.1:5001', store);
  await leads(a);
  const b = candidate(t, 'b@10.0.0.2:5001', store);
  await waitFor(() => b.election.holder() === 'a@10.0.0.1:5001', { what: 'b knows a' });
  assert.equal(b.election.isLeader(), false);
  assert.equal(store.record?.transitions, 0);
  assert.equal(store.record?.durationSeconds, 1, 'whole seconds, at least one');
  assert.deepEqual(a.changes, [true]);
});

test('many begin at once: exactly one leads', async (t) => {
  const store = new FakeStore();
  const all = Array.from({ length: 10 }, (_, i) => candidate(t, `c${i}`, store));
  await waitFor(() => all.some(({ election }) => election.isLeader()), { what: 'one leads' });
  assert.equal(all.filter(({ election }) => election.isLeader()).length, 1);
});

test('a leader that cannot renew stops leading before anybody else may start', async (t) => {
  const store = new FakeStore();
  const link = through(store);
  const a = candidate(t, 'a', link);
  await leads(a);
  const b = candidate(t, 'b', store);
  await waitFor(() => b.election.holder() === 'a', { what: 'b knows a' });
  link.isCut = true;
  let together = 0;
  const timer = setInterval(() => {
    if (a.election.isLeader() && b.election.isLeader()) together++;
  }, 1);
  await leads(b, 'b takes over');
  clearInterval(timer);
  assert.equal(together, 0);
  assert.deepEqual(a.changes, [true, false], 'a was told that it leads no longer');
  assert.equal(store.record?.holder, 'b');
  assert.equal(store.record?.transitions, 1);
});

test('a holder that promised a longer time than ours has it: during a rollout two durations are in use', async (t) => {
  const store = new FakeStore();
  const link = through(store);
  const a = candidate(t, 'a', link, { durationMs: 3_000, renewDeadlineMs: 2_500, retryMs: 50 });
  await leads(a);
  const b = candidate(t, 'b', store);
  await waitFor(() => b.election.holder() === 'a', { what: 'b knows a' });
  link.isCut = true;
  let together = 0;
  const timer = setInterval(() => {
    if (a.election.isLeader() && b.election.isLeader()) together++;
  }, 1);
  await leads(b, 'b takes over');
  clearInterval(timer);
  assert.equal(together, 0);
});

test('the clock decides, not the next answer: a leader frozen past its deadline does not lead when it wakes', async (t) => {
  const store = new FakeStore();
  let skippedMs = 0;
  const election = startElection({
    ...TIMES,
    identity: 'a',
    store,
    now: () => performance.now() + skippedMs,
    log: silentLog,
    onChange: () => {},
  });
  t.after(() => election.stop());
  await waitFor(() => election.isLeader(), { what: 'a leads' });
  skippedMs = 500;
  assert.equal(election.isLeader(), false);
});

test('stopping releases the lease, and the next one leads without waiting for it to expire', async (t) => {
  const store = new FakeStore();
  const long = { durationMs: 60_000, renewDeadlineMs: 50_000, retryMs: 50 };
  const a = candidate(t, 'a', store, long);
  await leads(a);
  const b = candidate(t, 'b', store, long);
  await a.election.stop();
  assert.equal(a.election.isLeader(), false);
  await leads(b);
});

test('a follower that stops leaves the lease alone', async (t) => {
  const store = new FakeStore();
  const a = candidate(t, 'a', store);
  await leads(a);
  const b = candidate(t, 'b', store);
  await waitFor(() => b.election.holder() === 'a', { what: 'b knows a' });
  await b.election.stop();
  assert.equal(store.record?.holder, 'a');
});

test('the same name again, as after a restart in place, takes its own lease back at once', async (t) => {
  const store = new FakeStore();
  const long = { durationMs: 60_000, renewDeadlineMs: 50_000, retryMs: 50 };
  const now = new Date();
  await store.create({
    holder: 'a',
    durationSeconds: 60,
    transitions: 3,
    acquiredAt: now,
    renewedAt: now,
    resourceVersion: '',
  });
  await leads(candidate(t, 'a', store, long));
  assert.equal(store.record?.transitions, 3, 'not a change of leaders');
});

test('a store that is away ends leadership, and one that is back gives it again', async (t) => {
  const store = new FakeStore();
  const a = candidate(t, 'a', store);
  await leads(a);
  store.isAway = true;
  await waitFor(() => !a.election.isLeader(), { what: 'a leads no longer', intervalMs: 2 });
  assert.equal(await a.election.tryNow(), false);
  store.isAway = false;
  await leads(a, 'a leads again');
  assert.deepEqual(a.changes, [true, false, true]);
});

test('tryNow leaves a lease that is in force alone and takes one that has expired', async (t) => {
  const store = new FakeStore();
  const now = new Date();
  await store.create({
    holder: 'x',
    durationSeconds: 1,
    transitions: 0,
    acquiredAt: now,
    renewedAt: now,
    resourceVersion: '',
  });
  let nowMs = 0;
  const election = startElection({
    durationMs: 60_000,
    renewDeadlineMs: 50_000,
    retryMs: 40_000,
    identity: 'a',
    store,
    now: () => nowMs,
    log: silentLog,
    onChange: () => {},
  });
  t.after(() => election.stop());
  await waitFor(() => election.holder() === 'x', { what: 'x is known' });
  assert.equal(await election.tryNow(), false);
  const readsBefore = store.reads;
  nowMs = 60_000;
  assert.equal(election.holder(), undefined);
  assert.equal(await election.tryNow(), true);
  assert.equal(store.reads, readsBefore + 1, 'it was no other look at the lease');
});

test('times that cannot work are refused by name', () => {
  const bad = { durationMs: 10, renewDeadlineMs: 10, retryMs: 1 };
  assert.throws(
    () =>
      startElection({
        ...bad,
        identity: 'a',
        store: new FakeStore(),
        now: () => 0,
        log: silentLog,
        onChange: () => {},
      }),
    /retry period < renew deadline < lease duration, got 1, 10, 10 ms/,
  );
});
