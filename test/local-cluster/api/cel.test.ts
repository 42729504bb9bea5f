import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CelError, compileCel } from '../../../packages/local-cluster/api/admission/cel.ts';

const object = {
  metadata: {
    name: 'web-1',
    namespace: 'shop',
    annotations: { 'SlimFaas/Function': 'TRUE', note: "it's" },
    labels: { app: 'web' },
  },
  spec: {
    replicas: 3,
    hostNetwork: false,
    containers: [
      { name: 'web', image: 'registry/web:1' },
      { name: 'log', image: 'registry/log:1' },
    ],
  },
};
const scope = { object, oldObject: null, request: { operation: 'CREATE', userInfo: { username: 'admin' } } };

describe('expressions that hold or do not', () => {
  const cases: [expression: string, value: boolean][] = [
    [
      "has(object.metadata.annotations) && 'SlimFaas/Function' in object.metadata.annotations && object.metadata.annotations['SlimFaas/Function'].lowerAscii() == 'true'",
      true,
    ],
    ["object.metadata.annotations['SlimFaas/Function'] == 'true'", false],
    ["!('missing' in object.metadata.annotations)", true],
    ['has(object.metadata.generateName)', false],
    ['has(object.spec.hostNetwork) && object.spec.hostNetwork', false],
    ['!has(object.spec.hostNetwork) || !object.spec.hostNetwork', true],
    ["object.metadata.name.startsWith('web-') && object.metadata.name.endsWith('1')", true],
    ["object.metadata.name.matches('^web-[0-9]+$')", true],
    ["object.metadata.name.matches(r'\\d')", true],
    ["object.metadata.name.contains('x')", false],
    ['object.spec.replicas > 2 && object.spec.replicas <= 3', true],
    ['object.spec.replicas - 1 == 2 && 2 + 3 * 4 == 14', true],
    ['-object.spec.replicas == -3', true],
    ['7 / 2 == 3 && 7 % 2 == 1', true],
    ["'a' + 'b' == \"ab\"", true],
    ["object.metadata.namespace in ['shop', 'pay']", true],
    ["!(object.metadata.namespace in ['kube-system'])", true],
    ["object.spec.containers.exists(c, c.name == 'log')", true],
    ["object.spec.containers.all(c, c.image.startsWith('registry/'))", true],
    ["object.spec.containers.all(c, c.name == 'log')", false],
    ["object.spec.containers[0].name == 'web'", true],
    ['size(object.spec.containers) == 2 && object.metadata.name.size() == 5', true],
    ["request.operation == 'CREATE' ? true : false", true],
    ['oldObject == null', true],
    ["'app' in object.metadata.labels", true],
    ["object.metadata.annotations.note == 'it\\'s'", true],
    ['true || false && false', true],
    ['(true || false) && false', false],
    ["request.userInfo.username != 'admin'", false],
  ];
  for (const [expression, value] of cases) {
    test(`${expression} is ${value}`, () => assert.equal(compileCel(expression)(scope), value));
  }
});

describe('errors and what swallows them', () => {
  const failing: [expression: string, message: RegExp][] = [
    ["object.metadata.generateName == 'x'", /no such key: generateName/],
    ['has(object.nothing.here)', /no such key: nothing/],
    ['object.spec.containers[5].name == ""', /index out of bounds: 5/],
    ['object.spec.replicas.lowerAscii() == ""', /no such overload/],
    ['object.spec.replicas < "3"', /no such overload/],
    ['object.metadata.name', /no boolean/],
    ['object.spec.replicas && true', /no boolean/],
    ["object.metadata.name.matches('(')", /regular expression/i],
  ];
  for (const [expression, message] of failing) {
    test(`${expression} fails`, () => {
      const program = compileCel(expression);
      assert.throws(
        () => program(scope),
        (error: unknown) => error instanceof CelError && message.test(error.message),
      );
    });
  }

  const swallowed: [expression: string, value: boolean][] = [
    ['false && object.missing', false],
    ['object.missing && false', false],
    ['true || object.missing', true],
    ['object.missing || true', true],
  ];
  for (const [expression, value] of swallowed) {
    test(`${expression}: the side that decides wins`, () =>
      assert.equal(compileCel(expression)(scope), value));
  }
  for (const expression of ['true && object.missing', 'object.missing || false']) {
    test(`${expression}: the error remains`, () =>
      assert.throws(() => compileCel(expression)(scope), CelError));
  }
});

describe('what cannot be compiled', () => {
  const cases: [expression: string, message: RegExp][] = [
    ['object.name ==', /syntax error at 14: found end of expression/],
    ["object.name = 'x'", /syntax error at/],
    ["(object.name == 'x'", /expected \)/],
    ["'unterminated", /syntax error at 0/],
    ['objct.name == "x"', /undeclared reference to 'objct'/],
    ['c.name == "x"', /undeclared reference to 'c'/],
    ["object.name.lower() == 'x'", /undeclared reference to 'lower'/],
    ['object.name.startsWith() == true', /undeclared reference to 'startsWith'/],
    ['has(object)', /invalid argument to has\(\)/],
    ['object.list.exists(1, true)', /not an identifier/],
    ["{'a': 1}.a == 1", /syntax error at 0/],
    ['a.b(', /expected/],
    ['', /found end of expression/],
    ['true true', /found true/],
  ];
  for (const [expression, message] of cases) {
    test(`${expression || '(nothing)'} says where`, () => {
      assert.throws(
        () => compileCel(expression),
        (error: unknown) => error instanceof CelError && message.test(error.message),
      );
    });
  }

  test('a variable of a macro ends with it', () => {
    assert.throws(
      () => compileCel("object.a.exists(c, c == 'x') && c == 'x'"),
      /undeclared reference to 'c'/,
    );
  });
});
