/** What scalers answer on `slimfaas.ask…`, over a real nats-server; the subject is the truth. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import {
  decodePodReadyAnswer,
  encodePodReadyQuestion,
  POD_READY_SUBJECT,
} from '../../../common/bus/pod-ready.ts';
import { podSubject } from '../../../common/bus/subjects.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { serveAsks, type AskOptions } from '../../../scaler/world/asks.ts';
import type { Pod, Workload } from '../../../scaler/world/kube-objects.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';

const FN = { namespace: 'ns', name: 'fn' };
/** An answer that is due comes within milliseconds; no test waits for one that is not for longer than this. */
const ANSWER_MS = 10_000;
const SILENCE_MS = 300;

const world: AskOptions['world'] = {
  workload: (key) => (key === 'ns/fn' ? ({} as Workload) : undefined),
  podsOf: () =>
    new Map([
      ['up', { isReady: true } as Pod],
      ['starting', { isReady: false } as Pod],
    ]),
};

interface Asking extends AsyncDisposable {
  readonly link: NatsLink;
  readonly dropped: string[];
}

async function scalerOn(nats: TestNats, hearsOlder: boolean): Promise<Asking> {
  const dropped: string[] = [];
  const scaler = openNatsLink({ servers: nats.url, name: 'scaler', log: silentLog });
  const link = openNatsLink({ servers: nats.url, name: 'sidecar', log: silentLog });
  const eventReaders = { open: async () => undefined, handOver: () => undefined };
  const onDropped = (kind: string) => void dropped.push(kind);
  serveAsks({ nats: scaler, world, eventReaders, hearsOlder, onDropped, log: silentLog });
  await waitFor(() => scaler.isConnected && link.isConnected, { what: 'both are connected' });
  await scaler.connection?.flush();
  return {
    link,
    dropped,
    async [Symbol.asyncDispose]() {
      await Promise.all([scaler.stop(), link.stop()]);
    },
  };
}

describe('scaler: asks of sidecars', () => {
  it('whether the pod of the subject is ready; of an unknown one nothing is said', async () => {
    await using nats = await startNats();
    await using asking = await scalerOn(nats, true);
    const ask = async (
      pod: string,
      { name = 'fn', text = '{"ask":"pod-ready"}', waitMs = ANSWER_MS } = {},
    ) => {
      const subject = podSubject('ask', { ...FN, name }, pod);
      const answer = await asking.link.request(subject, Buffer.from(text), waitMs);
      return answer && decodePodReadyAnswer(answer);
    };
    const waitMs = SILENCE_MS;
    assert.deepEqual([await ask('up'), await ask('starting')], [true, false]);
    assert.equal(
      await ask('starting', { text: '{"ask":"pod-ready","pod":"up"}' }),
      false,
      'the subject is the truth',
    );
    assert.equal(await ask('other', { waitMs }), undefined);
    assert.equal(await ask('up', { name: 'other', waitMs }), undefined);
    assert.deepEqual(asking.dropped, []);
    assert.equal(await ask('up', { text: 'nonsense', waitMs }), undefined);
    assert.deepEqual(asking.dropped, ['ask'], 'it is counted');
    assert.equal(await ask('up'), true, 'and costs nobody else');
  });

  for (const hearsOlder of [true, false])
    it(`the shared subject is ${hearsOlder ? '' : 'not '}heard where auth is ${hearsOlder ? 'not ' : ''}required`, async () => {
      await using nats = await startNats();
      await using asking = await scalerOn(nats, hearsOlder);
      const question = encodePodReadyQuestion({ id: FN, pod: 'up' });
      const answer = await asking.link.request(
        POD_READY_SUBJECT,
        question,
        hearsOlder ? ANSWER_MS : SILENCE_MS,
      );
      assert.equal(answer && decodePodReadyAnswer(answer), hearsOlder ? true : undefined);
    });
});
