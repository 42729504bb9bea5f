import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { encodeMessage, type ActivityMessage } from '../../../common/bus/messages.ts';
import { functionSubject, podSubject } from '../../../common/bus/subjects.ts';
import { listenToPods } from '../../../proxy/pods/bus-messages.ts';

const FIB = { namespace: 'n', name: 'fi.b' };
const COUNTS = { running: 1, runningNow: 1, waiting: 0, started: 0, finished: 0, failed: 0, windowMs: 1_000 };
const REPORT: ActivityMessage = { source: 'sidecar', pod: 'p', ...COUNTS, limit: 1 };

function setUp(wantsActivity = true) {
  const subscriptions = new Map<string, (subject: string, data: Uint8Array) => void>();
  const heard: string[] = [];
  const warnings: unknown[] = [];
  const dropped: string[] = [];
  const release = listenToPods({
    nats: {
      subscribe(subject, onMessage) {
        subscriptions.set(subject, onMessage);
        return () => void subscriptions.delete(subject);
      },
    },
    endpoints: {
      heardReady: (id, message) => heard.push(`ready ${id.name} ${message.pod}`),
      heardShare: (id, message) => heard.push(`share ${id.name} ${message.limit}`),
      heardActivity: (id, message) => heard.push(`activity ${id.name} ${message.runningNow}`),
    },
    onDropped: (kind) => dropped.push(kind),
    wantsActivity: () => wantsActivity,
    heardProxy: (id, message) => heard.push(`proxy ${id.name} ${message.pod}`),
    log: { ...silentLog, warn: (...all: unknown[]) => void warnings.push(all) },
  });
  const send = (
    kind: 'ready' | 'share' | 'activity',
    data: Uint8Array,
    subject = functionSubject(kind, FIB),
  ) => subscriptions.get(`slimfaas.${kind}.*.*`)?.(subject, data);
  const say = (kind: 'ready' | 'activity', pod: string, data: Uint8Array) =>
    subscriptions.get(`slimfaas.${kind}.*.*.*`)?.(podSubject(kind, FIB, pod), data);
  return { heard, warnings, dropped, say, send, release, subscriptions };
}

test('each kind of message goes where it belongs, under the name that its subject escapes', () => {
  const t = setUp();
  t.send('ready', encodeMessage({ pod: 'p', ip: '10.0.0.1', port: 1, state: 'ready' }));
  t.send('share', encodeMessage({ limit: 3, shares: {} }));
  t.send('activity', encodeMessage(REPORT));
  assert.deepEqual(t.heard, ['ready fi.b p', 'share fi.b 3', 'activity fi.b 1']);
  t.release();
  assert.equal(t.subscriptions.size, 0);
});

test('reports of proxies are heard of every function; another order of fields is read where reports are wanted', () => {
  const idle = setUp(false);
  const report: ActivityMessage = { source: 'proxy', pod: 'proxy-2', ...COUNTS };
  idle.send('activity', encodeMessage(report));
  assert.deepEqual(idle.heard, ['proxy fi.b proxy-2']);
  const busy = setUp();
  busy.send('activity', Buffer.from(JSON.stringify({ pod: 'proxy-3', ...COUNTS, source: 'proxy' })));
  assert.deepEqual(busy.heard, ['proxy fi.b proxy-3']);
});

test('what is not understood is logged and dropped, and the next message is heard', () => {
  const t = setUp();
  t.send('ready', Buffer.from('{"pod":1}'));
  t.send('share', Buffer.from('not json'));
  t.send('ready', encodeMessage({ limit: 3, shares: {} }), 'slimfaas.ready.far.too.many.tokens');
  t.send('share', encodeMessage({ limit: 3, shares: {} }));
  assert.deepEqual(t.heard, ['share fi.b 3']);
  assert.equal(t.warnings.length, 2);
});

test('reports of functions that have no calls here are not even read', () => {
  const t = setUp(false);
  t.send('activity', Buffer.from('not json'));
  assert.deepEqual([t.heard, t.warnings], [[], []]);
});

test('a pod is heard on its own subject, and is dropped and counted where it speaks as another', () => {
  const t = setUp();
  const ready = { pod: 'p.1', ip: '10.0.0.1', port: 1, state: 'ready' } as const;
  t.say('ready', 'p.1', encodeMessage(ready));
  t.say('activity', 'p', encodeMessage(REPORT));
  assert.deepEqual(t.heard, ['ready fi.b p.1', 'activity fi.b 1']);
  t.say('ready', 'p', encodeMessage({ ...ready, state: 'draining' }));
  t.say('activity', 'q', encodeMessage(REPORT));
  t.say('activity', 'p', encodeMessage({ ...REPORT, source: 'proxy' }));
  assert.equal(t.heard.length, 2);
  assert.deepEqual(t.dropped, ['ready', 'activity', 'activity']);
  assert.equal(t.warnings.length, 3);
});
