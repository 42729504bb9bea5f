import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError } from '../../../packages/local-cluster/api/objects/api-errors.ts';
import {
  compileLabelSelector,
  objectMatcher,
  parseFieldSelector,
  parseLabelSelector,
  printLabelSelector,
} from '../../../packages/local-cluster/api/objects/selectors.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';

const LABELS = { app: 'web', tier: 'front', 'slimfaas.dev/function': 'fibonacci1', empty: '' };

describe('label selectors of a URL', () => {
  const cases: [text: string, isMatch: boolean][] = [
    ['app=web', true],
    ['app==web', true],
    ['app = web', true],
    ['app=api', false],
    ['app!=api', true],
    ['app!=web', false],
    ['missing!=x', true],
    ['app in (api, web)', true],
    ['app in (api)', false],
    ['app notin (api,db)', true],
    ['app notin (web)', false],
    ['missing notin (web)', true],
    ['missing in (web)', false],
    ['app', true],
    ['missing', false],
    ['!missing', true],
    ['!app', false],
    ['empty=', true],
    ['slimfaas.dev/function', true],
    ['slimfaas.dev/function=fibonacci1,app=web', true],
    ['app=web,tier=back', false],
    ['app in (a,web),tier notin (x,y),!gone', true],
    ['', true],
  ];
  for (const [text, isMatch] of cases) {
    test(`${text || '(empty)'} ${isMatch ? 'matches' : 'does not match'}`, () => {
      assert.equal(parseLabelSelector(text)(LABELS), isMatch);
    });
  }

  for (const text of ['app=web=x', 'in (a)', 'app in a', '=x', 'a b']) {
    test(`${text} is refused with 400 and named`, () => {
      assert.throws(
        () => parseLabelSelector(text),
        (error: unknown) => error instanceof ApiError && error.code === 400 && error.message.includes(text),
      );
    });
  }
});

describe('label selectors of a manifest', () => {
  const cases: [object, boolean][] = [
    [{}, true],
    [{ matchLabels: { app: 'web' } }, true],
    [{ matchLabels: { app: 'api' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
    [{ matchExpressions: [{ key: 'gone', operator: 'NotIn', values: ['web'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
    [{ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'gone', operator: 'Exists' }] }, false],
  ];
  for (const [selector, isMatch] of cases) {
    test(`${JSON.stringify(selector)} ${isMatch ? 'matches' : 'does not match'}`, () => {
      assert.equal(compileLabelSelector(selector)(LABELS), isMatch);
    });
  }

  test('an unknown operator is refused, and the allowed ones are named', () => {
    const selector = { matchExpressions: [{ key: 'a', operator: 'Like' }] };
    assert.throws(() => compileLabelSelector(selector), /"Like".*In, NotIn, Exists, DoesNotExist/);
  });

  test('what is printed for a scale selects the same', () => {
    const selector = {
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'tier', operator: 'In', values: ['front', 'x'] },
        { key: 'gone', operator: 'DoesNotExist' },
      ],
    };
    const text = printLabelSelector(selector);
    assert.equal(text, 'app=web,tier in (front,x),!gone');
    assert.equal(parseLabelSelector(text)(LABELS), true);
  });
});

describe('field selectors', () => {
  const pod = {
    metadata: { name: 'a', namespace: 'n' },
    spec: { nodeName: 'node-1' },
    status: { phase: 'Running' },
  } as unknown as KubeObject;
  const cases: [text: string, isMatch: boolean][] = [
    ['metadata.name=a', true],
    ['metadata.name==a', true],
    ['metadata.name!=a', false],
    ['metadata.namespace=n', true],
    ['spec.nodeName=node-1,status.phase=Running', true],
    ['spec.nodeName=', false],
    ['status.phase!=Running', false],
    ['status.podIP=', true],
  ];
  for (const [text, isMatch] of cases) {
    test(`${text} ${isMatch ? 'matches' : 'does not match'}`, () => {
      assert.equal(parseFieldSelector('pods', text)(pod), isMatch);
    });
  }

  test('a field that the kind cannot be selected by is refused with 400', () => {
    assert.throws(() => parseFieldSelector('services', 'status.phase=x'), {
      message: /status\.phase/,
      code: 400,
    });
  });

  test('events are selected by the object they are about', () => {
    const event = { involvedObject: { kind: 'Pod', name: 'a' } } as unknown as KubeObject;
    assert.equal(parseFieldSelector('events', 'involvedObject.name=a,involvedObject.kind=Pod')(event), true);
    assert.equal(parseFieldSelector('events', 'involvedObject.name=b')(event), false);
  });

  test('nodes count as schedulable unless they say otherwise', () => {
    const node = { metadata: { name: 'n' } } as unknown as KubeObject;
    assert.equal(parseFieldSelector('nodes', 'spec.unschedulable=false')(node), true);
  });

  test('both selectors must hold; without any there is nothing to test', () => {
    assert.equal(objectMatcher('pods', undefined, undefined), undefined);
    const both = objectMatcher('pods', '!x', 'metadata.name=a');
    assert.equal(both?.(pod), true);
    assert.equal(objectMatcher('pods', 'x', 'metadata.name=a')?.(pod), false);
  });
});
