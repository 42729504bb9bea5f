/** A scaler in a cluster of IPv6 addresses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { urlOf } from '../../scaler/world/lease.ts';
import { TestCluster } from './support/test-cluster.ts';

test('listens on an IPv6 address, and names itself in the Lease so that others find it', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const { scaler } = await cluster.scaler({ host: '::1', 'pod-ip': '::1', 'pod-name': 'scaler-0' });
  const [lease] = cluster.api.api.list('leases');
  const holder = lease?.['spec'].holderIdentity;
  const leader = urlOf(holder as string);
  assert.equal(leader, `http://[::1]:${scaler.port}`);
  assert.equal((await fetch(`${leader}/health`)).status, 200);
});
