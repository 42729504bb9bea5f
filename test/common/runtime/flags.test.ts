/** Flags: precedence, and errors that name the flag, the value and what is allowed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { envName, readFlags, type FlagTable } from '../../../common/runtime/flags.ts';

const table = {
  tick: { type: 'number', default: 1, min: 0.1, max: 60, group: 'g', describe: 'seconds' },
  port: { type: 'int', default: 5000, min: 0, max: 65535, group: 'g', describe: 'port' },
  storage: { type: 'string', default: 'file', choices: ['file', 'memory'], group: 'g', describe: 'storage' },
  paused: { type: 'boolean', default: false, group: 'g', describe: 'paused' },
  namespaces: { type: 'list', default: [], group: 'g', describe: 'namespaces' },
} as const satisfies FlagTable;

test('the command line wins over the environment, which wins over the default', () => {
  assert.equal(readFlags(table, [], {}).tick, 1);
  assert.equal(readFlags(table, [], { SLIMFAAS_TICK: '2' }).tick, 2);
  assert.equal(readFlags(table, ['--tick', '3'], { SLIMFAAS_TICK: '2' }).tick, 3);
  assert.equal(
    readFlags(table, [], { SLIMFAAS_TICK: '' }).tick,
    1,
    'an empty variable is one that is not set',
  );
  assert.equal(envName('metrics-port'), 'SLIMFAAS_METRICS_PORT');
});

test('each type is read in each form', () => {
  const values = readFlags(table, ['--port=0', '--paused', '--namespaces', 'a, b,', '--storage=memory'], {});
  assert.deepEqual(values, { tick: 1, port: 0, storage: 'memory', paused: true, namespaces: ['a', 'b'] });
  assert.ok(Object.isFrozen(values));
});

const refusals: [string, string[], Record<string, string>, RegExp][] = [
  ['unknown flag', ['--tock', '1'], {}, /unknown flag --tock; allowed: --tick --port/],
  ['stray word', ['now'], {}, /unexpected argument "now"/],
  ['missing value', ['--tick'], {}, /--tick needs a value: a number from 0\.1 to 60/],
  [
    'text for a number',
    ['--tick', 'soon'],
    {},
    /--tick: "soon" is not allowed; use a number from 0\.1 to 60/,
  ],
  [
    'fraction for a whole number',
    ['--port', '1.5'],
    {},
    /--port: "1\.5" is not allowed; use a whole number from 0 to 65535/,
  ],
  ['out of range', ['--port', '70000'], {}, /--port: "70000"/],
  ['not a choice', ['--storage', 'tape'], {}, /--storage: "tape" is not allowed; use one of file, memory/],
  ['not a boolean', ['--paused=yes'], {}, /--paused: "yes" is not allowed; use true or false/],
  ['bad variable', [], { SLIMFAAS_PORT: 'x' }, /SLIMFAAS_PORT: "x" is not allowed/],
];
for (const [what, argv, env, message] of refusals) {
  test(`${what}: a UsageError that says what is allowed`, () => {
    assert.throws(
      () => readFlags(table, argv, env),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

test('a variable that Kubernetes makes for a Service named slimfaas is no port', () => {
  const table = { port: { type: 'int', default: 5000, group: 'g', describe: 'd' } } as const;
  assert.equal(readFlags(table, [], { SLIMFAAS_PORT: 'tcp://10.96.0.1:5000' }).port, 5000);
  assert.equal(readFlags(table, [], { SLIMFAAS_PORT: '7000' }).port, 7000);
  assert.throws(
    () => readFlags(table, [], { SLIMFAAS_PORT: 'seven' }),
    /SLIMFAAS_PORT: "seven" is not allowed/,
  );
});
