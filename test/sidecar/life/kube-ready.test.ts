/** Jobs of a pod whose readiness only Kubernetes can tell: none before it says so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageError } from '../../../common/runtime/errors.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import {
  decodePodReadyAnswer,
  decodePodReadyQuestion,
  encodePodReadyAnswer,
  encodePodReadyQuestion,
  POD_READY_SUBJECT,
} from '../../../common/bus/pod-ready.ts';
import { waitForKubeReady } from '../../../sidecar/life/kube-ready.ts';
import { startNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';

const question = { id: { namespace: 'ns', name: 'fn' }, pod: 'fn-1' };
const never = new AbortController().signal;

describe('sidecar: whether Kubernetes calls the pod ready', () => {
  it('is asked until somebody says so; who does not know the pod keeps silent', async () => {
    await using nats = await startNats();
    const link = openNatsLink({ servers: nats.url, name: 'scaler', log: silentLog });
    const asked: string[] = [];
    let isReady = false;
    link.serve(POD_READY_SUBJECT, () => undefined);
    link.serve(POD_READY_SUBJECT, (data) => {
      const { id, pod } = decodePodReadyQuestion(data);
      asked.push(`${id.namespace}/${id.name}/${pod}`);
      return encodePodReadyAnswer(isReady);
    });
    const sidecar = openNatsLink({ servers: nats.url, name: 'sidecar', log: silentLog });
    let isOver = false;
    const waiting = waitForKubeReady(sidecar, question, never).then((is) => ((isOver = true), is));
    await waitFor(() => asked.length >= 2, { what: 'it is asked again' });
    assert.equal(isOver, false);
    isReady = true;
    assert.equal(await waiting, true);
    assert.equal(asked[0], 'ns/fn/fn-1');
    await Promise.all([link.stop(), sidecar.stop()]);
  });

  it('is not waited for where nobody knows the question, but is while NATS is away, and ends when told', async () => {
    const silent = { request: async () => undefined, isConnected: true };
    assert.equal(await waitForKubeReady(silent, question, never, 300), true);
    const stopping = new AbortController();
    let asked = 0;
    const away = { request: async () => void (asked += 1), isConnected: false };
    const waiting = waitForKubeReady(away as never, question, stopping.signal, 1);
    await waitFor(() => asked >= 3, { what: 'it goes on asking' });
    stopping.abort();
    assert.equal(await waiting, false);
  });

  it('a question that cannot be read is a MessageError that says why', () => {
    const text = (value: string) => new TextEncoder().encode(value);
    assert.deepEqual(decodePodReadyQuestion(encodePodReadyQuestion(question)), question);
    assert.throws(() => decodePodReadyQuestion(text('{')), MessageError);
    for (const bad of ['null', '7', '{"pod":"p"}', '{"namespace":1,"name":"n","pod":"p"}'])
      assert.throws(() => decodePodReadyQuestion(text(bad)), /lacks namespace, name or pod/, bad);
    assert.deepEqual(
      [true, false].map((is) => decodePodReadyAnswer(encodePodReadyAnswer(is))),
      [true, false],
    );
  });
});
