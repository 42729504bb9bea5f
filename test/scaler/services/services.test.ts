/** What the scaler's flags about Services may say together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import { scalerFlags } from '../../../scaler/flags.ts';
import { keepServices, type ServicesDeps } from '../../../scaler/services/services.ts';

test('wake for all functions is refused where no function may have it', () => {
  const config = readFlags(scalerFlags, ['--services-wake=false', '--services-default=wake'], {});
  const start = () => keepServices({ ...config, namespace: 'slimfaas' }, {} as ServicesDeps);
  assert.throws(start, UsageError);
  assert.throws(start, /--services-default=wake is not allowed beside --services-wake=false; use ignore/);
});
