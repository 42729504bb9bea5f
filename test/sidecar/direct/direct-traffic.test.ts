/** What counts as direct use, from tables that a test writes and a clock that it holds. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { OUTSIDE_MAX } from '../../../sidecar/direct/connections.ts';
import { DirectTraffic, type DirectOptions } from '../../../sidecar/direct/direct-traffic.ts';
import { ProbeBudget, parseProbes } from '../../../sidecar/direct/probe-budget.ts';
import { TCP_STATE } from '../../../sidecar/direct/proc-net.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { line, line6 } from './lines.ts';

const POD = '10.0.0.7';
const APP = `${POD}:5000`;
const NODE = '10.0.0.1';
const LISTENS = line6('0.0.0.0:5000', '0.0.0.0:0', TCP_STATE.listen);
const MINUTE = 60_000;

/** A pod of which the test says what the kernel tells. */
class Pod implements AsyncDisposable {
  readonly counts = { open: 0, openedTotal: 0 };
  readonly traffic: DirectTraffic;
  readonly #dir: string;
  #nowMs = 0;
  /** Connections that the namespace has accepted, and of them those of the sidecar's servers. */
  accepted = 1_000;
  own = 0;
  isBusy = false;
  lines: readonly string[] = [];

  private constructor(dir: string, options: Partial<DirectOptions>) {
    this.#dir = dir;
    this.traffic = new DirectTraffic(
      {
        probes: [],
        ignored: [],
        idleMs: 10 * MINUTE,
        longestPauseMs: MINUTE,
        ownPorts: [15_080, 15_081],
        podIp: POD,
        accepted: () => this.own,
        isBusy: () => this.isBusy,
        counts: this.counts,
        log: recordingLog().log,
        ...options,
        dir,
      },
      0,
    );
  }

  static async open(options: Partial<DirectOptions> = {}): Promise<Pod> {
    const pod = new Pod(await mkdtemp(join(tmpdir(), 'direct-')), options);
    await pod.pass(90);
    return pod;
  }

  /** Seconds pass, with a look in each that may be had: none is later than a minute. */
  async pass(seconds: number, each: (second: number) => void = () => undefined): Promise<void> {
    for (let second = 1; second <= seconds; second++) {
      each(second);
      await writeFile(join(this.#dir, 'snmp'), `Tcp: A PassiveOpens\nTcp: 1 ${this.accepted}\n`);
      await writeFile(join(this.#dir, 'tcp'), 'sl\n');
      await writeFile(join(this.#dir, 'tcp6'), ['sl', LISTENS, ...this.lines, ''].join('\n'));
      this.#nowMs += 1_000;
      await this.traffic.tick(this.#nowMs);
    }
  }

  /** The same until the next look has been had for sure. */
  settle(): Promise<void> {
    return this.pass(70);
  }

  loseTables(): Promise<void> {
    return rm(this.#dir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.traffic.stop();
    return this.loseTables();
  }
}

const peer = (port: number, state = TCP_STATE.established) => line6(APP, `10.0.2.2:${port}`, state);

describe('open connections', () => {
  it('from outside to a port of the app count while they are open', async () => {
    await using pod = await Pod.open();
    pod.lines = [peer(1), peer(2, TCP_STATE.closeWait)];
    await pod.settle();
    await pod.settle();
    assert.equal(pod.counts.open, 2);
    pod.lines = [peer(1, TCP_STATE.timeWait)];
    await pod.settle();
    assert.equal(pod.counts.open, 0);
  });

  it('within the pod, to the sidecar, and of the app to others do not', async () => {
    await using pod = await Pod.open();
    pod.lines = [
      line6('127.0.0.1:5000', '127.0.0.1:40000', TCP_STATE.established),
      line('127.0.0.1:40000', '127.0.0.1:5000', TCP_STATE.established),
      line6(APP, `${POD}:40001`, TCP_STATE.established),
      line6(`${POD}:15080`, '10.0.2.2:40002', TCP_STATE.established),
      line(`${POD}:40003`, '10.0.9.9:4222', TCP_STATE.established),
    ];
    await pod.settle();
    await pod.settle();
    assert.equal(pod.counts.open, 0);
  });

  it('of ignored peers and to ignored ports do not', async () => {
    await using pod = await Pod.open({ ignored: [':9100', '10.0.8.0/24', 'garbage', 'x/99'] });
    pod.lines = [
      line6('0.0.0.0:9100', '0.0.0.0:0', TCP_STATE.listen),
      line6(`${POD}:9100`, '10.0.2.2:1', TCP_STATE.established),
      line6(APP, '10.0.8.77:2', TCP_STATE.established),
      peer(3),
    ];
    await pod.settle();
    await pod.settle();
    assert.equal(pod.counts.open, 1);
  });

  it('on which nothing moves count for the time that is set, and again when a byte moves', async () => {
    await using pod = await Pod.open({ idleMs: 5 * MINUTE });
    pod.lines = [peer(1)];
    await pod.pass(240);
    assert.equal(pod.counts.open, 1);
    await pod.pass(200);
    assert.equal(pod.counts.open, 0);
    pod.lines = [line6(APP, '10.0.2.2:1', TCP_STATE.established, '00000000:00000010 00')];
    await pod.settle();
    assert.equal(pod.counts.open, 1);
  });

  it('that are gone before a probe would have timed out are no open ones', async () => {
    await using pod = await Pod.open({ probes: parseProbes(['1:200']) });
    pod.lines = [line6(APP, `${NODE}:1`, TCP_STATE.established)];
    await pod.pass(180, () => (pod.accepted += 1));
    assert.equal(pod.counts.open, 0);
    await pod.pass(180, () => (pod.accepted += 1));
    assert.equal(pod.counts.open, 1);
  });
});

describe('more connections than one look reads', () => {
  it('those that were known stay, those beyond the bound are not kept', async () => {
    await using pod = await Pod.open({ idleMs: 60 * MINUTE });
    const from = (first: number) => Array.from({ length: 9_000 }, (_, i) => peer(first + i));
    pod.lines = from(1);
    await pod.settle();
    pod.lines = from(20_000);
    await pod.settle();
    await pod.settle();
    const { open } = pod.counts;
    assert.ok(open > 5_000 && open <= OUTSIDE_MAX, String(open));
    pod.lines = [];
    await pod.settle();
    assert.equal(pod.counts.open, 0);
  });
});

describe('short connections', () => {
  it('probes at their rate do not count; one call every 5 s beside them does', async () => {
    await using pod = await Pod.open({ probes: parseProbes(['1:1', '1:1', '10:3']) });
    const probe = (second: number): void => {
      pod.accepted += 2 + (second % 10 === 0 ? 1 : 0);
    };
    await pod.pass(600, probe);
    await pod.pass(70, probe);
    assert.equal(pod.counts.openedTotal, 0);
    await pod.pass(120, (second) => {
      probe(second);
      if (second % 5 === 0) pod.accepted += 1;
    });
    await pod.pass(70, probe);
    const { openedTotal } = pod.counts;
    // An estimate: what matters is that there are some.
    assert.ok(openedTotal >= 19 && openedTotal <= 29, String(openedTotal));
    await pod.pass(300, probe);
    assert.equal(pod.counts.openedTotal, openedTotal);
  });

  it('what the sidecar accepts itself does not count', async () => {
    await using pod = await Pod.open();
    await pod.pass(300, () => {
      pod.accepted += 1;
      pod.own += 1;
    });
    assert.equal(pod.counts.openedTotal, 0);
  });

  it('a probe that is a command and connects within the pod does not count', async () => {
    await using pod = await Pod.open();
    await pod.pass(300, (second) => {
      pod.accepted += 1;
      const from = Math.max(1, second - 59);
      pod.lines = Array.from({ length: second - from + 1 }, (_, i) =>
        line('127.0.0.1:5000', `127.0.0.1:${30_000 + from + i}`, TCP_STATE.timeWait),
      );
    });
    assert.equal(pod.counts.openedTotal, 0);
  });

  it('while calls run nothing is made of them: the sidecar opens some itself', async () => {
    await using pod = await Pod.open();
    pod.isBusy = true;
    await pod.pass(60, () => (pod.accepted += 5));
    pod.isBusy = false;
    await pod.settle();
    assert.equal(pod.counts.openedTotal, 0);
  });

  it('nothing is told of a function without probes but what was opened', async () => {
    await using pod = await Pod.open();
    pod.accepted += 5;
    await pod.settle();
    assert.equal(pod.counts.openedTotal, 5);
  });
});

describe('where it cannot be counted', () => {
  it('it says why: no such tables, and a pod that shares its loopback', async () => {
    await using pod = await Pod.open({ podIp: '127.20.1.1' });
    assert.match(pod.traffic.start() ?? '', /loopback/);
    await using gone = await Pod.open({ podIp: POD });
    await gone.loseTables();
    assert.match(gone.traffic.start() ?? '', /snmp/);
  });

  it('a table that ends in mid-time ends the counting, once and with a line in the log', async () => {
    const { log, lines } = recordingLog();
    await using pod = await Pod.open({ log });
    await pod.loseTables();
    await pod.traffic.tick(10 * MINUTE);
    await pod.traffic.tick(20 * MINUTE);
    assert.equal(lines.length, 1);
  });
});

describe('the budget of probes', () => {
  it('forgets nothing: late and early probes over an hour, in looks of any length', () => {
    const budget = new ProbeBudget(parseProbes(['3:1', '7:1']), 0);
    let counted = 0;
    let before = 0;
    const until = (ms: number) => Math.floor((ms + 400) / 3_000) + Math.floor((ms + 900) / 7_000);
    for (let ms = 0; ms < 3_600_000; ms += 1_000 + ((ms / 1_000) % 13) * 700) {
      counted += budget.take(until(ms) - before, ms);
      before = until(ms);
    }
    assert.equal(counted, 0);
  });

  it('takes what it cannot read for a probe of Kubernetes’ defaults', () => {
    const defaults = { periodSeconds: 10, timeoutSeconds: 1 };
    assert.deepEqual(parseProbes(['x', '0:0', '-1:2']), [
      defaults,
      defaults,
      { ...defaults, timeoutSeconds: 2 },
    ]);
  });
});
