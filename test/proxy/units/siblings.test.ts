import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Siblings } from '../../../proxy/pods/siblings.ts';
import { podView } from '../support/pods.ts';

const owner = { kind: 'Deployment' as const, id: { namespace: 'slimfaas', name: 'slimfaas-proxy' } };
const proxy = (name: string, changes = {}) => podView({ name, namespace: 'slimfaas', owner, ...changes });

test('alone: without another pod of the same owner that is ready and not ending', () => {
  const siblings = new Siblings('slimfaas', 'proxy-1');
  assert.equal(siblings.isAlone, false, 'without our own pod we know nothing');
  siblings.setPod(proxy('proxy-1', { isTerminating: true }));
  assert.equal(siblings.isAlone, true);
  const otherOwner = { kind: 'Deployment' as const, id: { namespace: 'slimfaas', name: 'slimfaas-scaler' } };
  siblings.setPod(proxy('scaler-1', { owner: otherOwner }));
  siblings.setPod(proxy('proxy-1', { namespace: 'other' }));
  siblings.setPod(proxy('proxy-2', { isKubeReady: false }));
  siblings.setPod(proxy('proxy-3', { isTerminating: true }));
  siblings.setPod(proxy('proxy-4', { isEnded: true }));
  assert.equal(siblings.isAlone, true);
  siblings.setPod(proxy('proxy-2'));
  assert.equal(siblings.isAlone, false);
  siblings.deletePod('other', 'proxy-2');
  assert.equal(siblings.isAlone, false);
  siblings.deletePod('slimfaas', 'proxy-2');
  assert.equal(siblings.isAlone, true);
});
