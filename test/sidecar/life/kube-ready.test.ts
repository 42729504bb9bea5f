/** Jobs of a pod whose readiness only Kubernetes can tell: none before it says so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageError } from '../../../common/runtime/errors.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { decodeAsk } from '../../../common/bus/asks.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import {
  decodePodReadyAnswer,
  decodePodReadyQuestion,
  encodePodReadyAnswer,
  encodePodReadyQuestion,
  POD_READY_SUBJECT,
} from '../../../common/bus/pod-ready.ts';
import { everyPod } from '../../../common/bus/subjects.ts';
import { waitForKubeReady } from '../../../sidecar/life/kube-ready.ts';
import { startNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';

const self = { id: { namespace: 'ns', name: 'fn' }, pod: 'fn-1' };
const never = new AbortController().signal;
const given = { self, asksOlder: false, signal: never };

describe('sidecar: whether Kubernetes calls the pod ready', () => {
  it('is asked under its own name until somebody says so; who does not know the pod keeps silent', async () => {
    await using nats = await startNats();
    const link = openNatsLink({ servers: nats.url, name: 'scaler', log: silentLog });
    const asked: string[] = [];
    let isReady = false;
    let isSharedAsked = false;
    link.serve(POD_READY_SUBJECT, () => void (isSharedAsked = true));
    link.serve(everyPod('ask'), () => undefined);
    link.serve(everyPod('ask'), (data, subject) => {
      assert.deepEqual(decodeAsk(data), { ask: 'pod-ready' });
      asked.push(subject);
      return encodePodReadyAnswer(isReady);
    });
    const sidecar = openNatsLink({ servers: nats.url, name: 'sidecar', log: silentLog });
    let isOver = false;
    const waiting = waitForKubeReady({ ...given, nats: sidecar }).then((is) => ((isOver = true), is));
    await waitFor(() => asked.length >= 2, { what: 'it is asked again' });
    assert.equal(isOver, false);
    isReady = true;
    assert.equal(await waiting, true);
    assert.deepEqual([asked[0], isSharedAsked], ['slimfaas.ask.ns.fn.fn-1', false]);
    await Promise.all([link.stop(), sidecar.stop()]);
  });

  it('is asked on the shared subject too where the scalers may be older', async () => {
    await using nats = await startNats();
    const link = openNatsLink({ servers: nats.url, name: 'older scaler', log: silentLog });
    const asked: unknown[] = [];
    link.serve(POD_READY_SUBJECT, (data) => {
      asked.push(decodePodReadyQuestion(data));
      return encodePodReadyAnswer(true);
    });
    const sidecar = openNatsLink({ servers: nats.url, name: 'sidecar', log: silentLog });
    assert.equal(await waitForKubeReady({ ...given, nats: sidecar, asksOlder: true }), true);
    assert.deepEqual(asked[0], self);
    await Promise.all([link.stop(), sidecar.stop()]);
  });

  it('is not waited for where nobody knows the question, but is while NATS is away, and ends when told', async () => {
    const silent = { request: async () => undefined, isConnected: true };
    assert.equal(await waitForKubeReady({ ...given, nats: silent, silenceMs: 300 }), true);
    const stopping = new AbortController();
    let asked = 0;
    const away = { request: async () => void (asked += 1), isConnected: false };
    const options = { ...given, nats: away as never, signal: stopping.signal, silenceMs: 1 };
    const waiting = waitForKubeReady(options);
    await waitFor(() => asked >= 3, { what: 'it goes on asking' });
    stopping.abort();
    assert.equal(await waiting, false);
  });

  it('a question that cannot be read is a MessageError that says why', () => {
    const text = (value: string) => new TextEncoder().encode(value);
    assert.deepEqual(decodePodReadyQuestion(encodePodReadyQuestion(self)), self);
    assert.throws(() => decodePodReadyQuestion(text('{')), MessageError);
    for (const bad of ['null', '7', '[]'])
      assert.throws(() => decodePodReadyQuestion(text(bad)), /not a JSON object/, bad);
    for (const bad of ['{"pod":"p"}', '{"namespace":1,"name":"n","pod":"p"}'])
      assert.throws(() => decodePodReadyQuestion(text(bad)), /lacks namespace, name or pod/, bad);
    assert.deepEqual(
      [true, false].map((is) => decodePodReadyAnswer(encodePodReadyAnswer(is))),
      [true, false],
    );
  });
});
