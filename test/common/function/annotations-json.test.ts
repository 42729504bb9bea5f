import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';

function configuration(value: unknown) {
  const { spec, faults } = parseAnnotations({ 'SlimFaas/Configuration': JSON.stringify(value) });
  return { sync: spec.sync, async: spec.async, publish: spec.publish, faults };
}

function schedule(value: unknown) {
  const { spec, faults } = parseAnnotations({ 'SlimFaas/Schedule': JSON.stringify(value) });
  return { schedule: spec.schedule, faults };
}

function scale(value: unknown, more: Record<string, string> = {}) {
  const { spec, faults } = parseAnnotations({ 'SlimFaas/Scale': JSON.stringify(value), ...more });
  return { scale: spec.scale, faults };
}

test('Configuration as SlimFaas documents it is taken whole', () => {
  const read = configuration({
    DefaultSync: { HttpTimeout: 30 },
    DefaultAsync: { HttpTimeout: 60, TimeoutRetries: [1, 2], HttpStatusRetries: [500] },
    DefaultPublish: { TimeoutRetries: [] },
  });
  assert.deepEqual(read.faults, []);
  assert.deepEqual(read.sync, {
    httpTimeoutSeconds: 30,
    timeoutRetriesSeconds: [2, 4, 8],
    httpStatusRetries: [502, 503],
    retriesSetByUser: false,
  });
  assert.deepEqual(read.async, {
    httpTimeoutSeconds: 60,
    timeoutRetriesSeconds: [1, 2],
    httpStatusRetries: [500],
    retriesSetByUser: true,
  });
  assert.deepEqual(read.publish.timeoutRetriesSeconds, []);
  assert.equal(read.publish.retriesSetByUser, true);
});

test('Configuration: a bad part falls back alone, and a refused list of retries is no wish to retry POST', () => {
  const read = configuration({
    DefaultSync: { HttpTimeout: 0, TimeoutRetries: [1, 'x'], HttpStatusRetries: [502] },
    DefaultAsync: 7,
    defaultpublish: { httptimeout: 9 },
  });
  assert.equal(read.sync.httpTimeoutSeconds, 120);
  assert.deepEqual(read.sync.timeoutRetriesSeconds, [2, 4, 8]);
  assert.equal(read.sync.retriesSetByUser, false);
  assert.deepEqual(read.sync.httpStatusRetries, [502]);
  assert.equal(read.async.httpTimeoutSeconds, 120);
  assert.equal(read.publish.httpTimeoutSeconds, 9);
  assert.deepEqual(
    read.faults.map((fault) => [fault.problem.split(' ')[0], fault.value]),
    [
      ['DefaultSync.TimeoutRetries', '[1,"x"]'],
      ['DefaultSync.HttpTimeout', '0'],
      ['DefaultAsync', '7'],
    ],
  );
});

test('Configuration: null parts are absent parts, unknown ones are reported', () => {
  const read = configuration({ DefaultSync: null, DefaultAsinc: {}, DefaultAsync: { Retry: 1 } });
  assert.match(read.faults[0]?.problem ?? '', /DefaultAsinc is not known; did you mean DefaultAsync\?/);
  assert.match(read.faults[1]?.problem ?? '', /DefaultAsync\.Retry is not known; allowed: HttpTimeout/);
});

test('Schedule as SlimFaas documents it is taken whole', () => {
  const read = schedule({
    TimeZoneID: 'Europe/Paris',
    Default: {
      WakeUp: ['13:30', '08:00', '08:00'],
      ScaleDownTimeout: [
        { Time: '19:00', Value: 300 },
        { Time: '08:00', Value: 1800 },
      ],
    },
  });
  assert.deepEqual(read, {
    faults: [],
    schedule: {
      timeZone: 'Europe/Paris',
      default: {
        wakeUpMinutes: [480, 810],
        scaleDownTimeouts: [
          { minute: 480, seconds: 1800 },
          { minute: 1140, seconds: 300 },
        ],
      },
      weekdays: {},
    },
  });
});

test("Schedule: without a zone SlimFaas's own default, GB, holds", () => {
  assert.equal(schedule({ Default: {} }).schedule?.timeZone, 'Europe/London');
});

test('Schedule: a weekday takes from Default what it leaves out; an empty list means none', () => {
  const read = schedule({
    TimeZoneID: 'UTC',
    Default: { WakeUp: ['07:00'], ScaleDownTimeout: [{ Time: '07:00', Value: 60 }] },
    Saturday: { WakeUp: [] },
    sunday: { ScaleDownTimeout: [] },
  });
  assert.deepEqual(read.faults, []);
  assert.deepEqual(read.schedule?.weekdays, {
    0: { wakeUpMinutes: [420], scaleDownTimeouts: [] },
    6: { wakeUpMinutes: [], scaleDownTimeouts: [{ minute: 420, seconds: 60 }] },
  });
});

test('Schedule: bad times, values and zones are faults, the rest stays', () => {
  const read = schedule({
    TimeZoneID: 'Europe/Pariss',
    Default: {
      WakeUp: ['24:00', '7:05', 8, '07:60', null],
      ScaleDownTimeout: [
        { Time: '06:00', Value: -1 },
        { Time: '06:00' },
        { Time: 'noon', Value: 1 },
        5,
        { Value: 9 },
      ],
    },
  });
  assert.equal(read.schedule?.timeZone, 'Europe/London');
  assert.deepEqual(read.schedule?.default, {
    wakeUpMinutes: [425],
    scaleDownTimeouts: [{ minute: 0, seconds: 9 }],
  });
  const paths = read.faults.map((fault) => fault.problem.split(' ')[0]);
  for (const path of [
    'TimeZoneID',
    'Default.WakeUp[0]',
    'Default.WakeUp[2]',
    'Default.WakeUp[3]',
    'Default.ScaleDownTimeout[0].Value',
    'Default.ScaleDownTimeout[1]',
    'Default.ScaleDownTimeout[2].Time',
    'Default.ScaleDownTimeout[3]',
  ]) {
    assert.ok(paths.includes(path), `${path} in ${paths}`);
  }
});

const DOCUMENTED_SCALE = {
  ReplicaMax: 20,
  Triggers: [
    {
      MetricType: 'AverageValue',
      MetricName: 'rps_per_pod',
      Query: 'sum(rate(http_server_requests_seconds_count{namespace="default",job="fibonacci"}[1m]))',
      Threshold: 50,
    },
    { MetricType: 'Value', MetricName: 'queue', Query: 'max_over_time(q[30s])', Threshold: 0.5 },
  ],
  Behavior: {
    ScaleUp: {
      StabilizationWindowSeconds: 5,
      Policies: [
        { Type: 'Percent', Value: 100, PeriodSeconds: 15 },
        { Type: 'Pods', Value: 2, PeriodSeconds: 60 },
      ],
    },
    ScaleDown: {
      StabilizationWindowSeconds: 120,
      Policies: [{ Type: 'Percent', Value: 50, PeriodSeconds: 30 }],
    },
  },
};

test('Scale as SlimFaas documents it is taken whole', () => {
  const read = scale(DOCUMENTED_SCALE);
  assert.deepEqual(read.faults, []);
  assert.equal(read.scale?.replicaMax, 20);
  assert.equal(read.scale?.scrapeIntervalMs, 5_000);
  assert.deepEqual(
    read.scale?.triggers.map((trigger) => [trigger.metricType, trigger.metricName, trigger.threshold]),
    [
      ['AverageValue', 'rps_per_pod', 50],
      ['Value', 'queue', 0.5],
    ],
  );
  assert.deepEqual(read.scale?.scaleUp, {
    stabilizationWindowSeconds: 5,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 15 },
      { type: 'Pods', value: 2, periodSeconds: 60 },
    ],
  });
  assert.equal(read.scale?.scaleDown.stabilizationWindowSeconds, 120);
});

test("Scale: an empty object has SlimFaas's defaults, which are the HorizontalPodAutoscaler's", () => {
  for (const value of [{}, { Behavior: {} }, { Behavior: { ScaleUp: {}, ScaleDown: { Policies: [] } } }]) {
    const { scale: read, faults } = scale(value);
    assert.deepEqual(faults, []);
    assert.equal(read?.replicaMax, undefined);
    assert.deepEqual(read?.triggers, []);
    assert.deepEqual(read?.scaleUp, {
      stabilizationWindowSeconds: 0,
      selectPolicy: 'Max',
      policies: [
        { type: 'Percent', value: 100, periodSeconds: 15 },
        { type: 'Pods', value: 4, periodSeconds: 15 },
      ],
    });
    assert.deepEqual(read?.scaleDown, {
      stabilizationWindowSeconds: 300,
      selectPolicy: 'Max',
      policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
    });
  }
});

test('Scale: a built-in metric needs no query; a trigger that cannot work is dropped with a fault', () => {
  const read = scale({
    Triggers: [
      { MetricName: 'concurrency', Threshold: 7 },
      { MetricName: 'message-rate', MetricType: 'value', Threshold: 1 },
      { MetricName: 'latency', Threshold: 1 },
      { MetricName: 'rps', Threshold: 0 },
      { MetricName: 'rps' },
      { Query: 'up', Threshold: 1, MetricType: 'Sum' },
      'x',
    ],
  });
  assert.deepEqual(
    read.scale?.triggers.map((trigger) => [trigger.metricName, trigger.metricType]),
    [
      ['concurrency', 'AverageValue'],
      ['message-rate', 'Value'],
      ['', 'AverageValue'],
    ],
  );
  const paths = read.faults.map((fault) => fault.problem.split(' ')[0]);
  for (const path of [
    'Triggers[2]',
    'Triggers[3].Threshold',
    'Triggers[4]',
    'Triggers[5].MetricType',
    'Triggers[6]',
  ]) {
    assert.ok(paths.includes(path), `${path} in ${paths}`);
  }
});

test('Scale: bad numbers fall back one by one', () => {
  const read = scale({
    ReplicaMax: 0,
    ScrapeIntervalMilliseconds: 999,
    Behavior: {
      ScaleUp: {
        StabilizationWindowSeconds: 3_601,
        SelectPolicy: 'Least',
        Policies: [{ Type: 'Nodes', Value: 5, PeriodSeconds: 1_801 }, { Value: 0 }],
      },
      ScaleDown: { SelectPolicy: 'disabled' },
    },
  });
  assert.equal(read.scale?.replicaMax, undefined);
  assert.equal(read.scale?.scrapeIntervalMs, 5_000);
  assert.equal(read.scale?.scaleUp.stabilizationWindowSeconds, 0);
  assert.equal(read.scale?.scaleUp.selectPolicy, 'Max');
  assert.deepEqual(read.scale?.scaleUp.policies, [{ type: 'Percent', value: 5, periodSeconds: 15 }]);
  assert.equal(read.scale?.scaleDown.selectPolicy, 'Disabled');
  assert.equal(read.faults.length, 7);
});

test('Scale: ReplicaMax below ReplicasMin is raised to it, with a fault', () => {
  const read = scale({ ReplicaMax: 1 }, { 'SlimFaas/ReplicasMin': '2' });
  assert.equal(read.scale?.replicaMax, 2);
  assert.equal(read.faults[0]?.inForce, 'ReplicaMax 2');
});

test('a Scale that is no JSON disables scaling by metrics and nothing else', () => {
  const { spec, faults } = parseAnnotations({
    'SlimFaas/Function': 'true',
    'SlimFaas/ReplicasMin': '1',
    'SlimFaas/Scale': '{ ReplicaMax: 3 }',
  });
  assert.equal(spec.scale, undefined);
  assert.equal(spec.replicasMin, 1);
  assert.equal(faults.length, 1);
});
