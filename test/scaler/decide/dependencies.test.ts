import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildGraph } from '../../../scaler/decide/dependencies.ts';

const graphOf = (edges: Record<string, string[]>) => buildGraph(new Map(Object.entries(edges)));

test('both directions, each edge once', () => {
  const graph = graphOf({ a: ['b', 'db', 'b'], b: ['db'] });
  assert.deepEqual(graph.dependenciesOf('a'), ['b', 'db']);
  assert.deepEqual(graph.dependentsOf('db'), ['b', 'a']);
  assert.deepEqual(graph.dependenciesOf('db'), []);
  assert.deepEqual(graph.cycles, []);
});

test('a cycle is broken at the same place whatever the order of the functions, and told with its path', () => {
  for (const edges of [
    { a: ['b'], b: ['a'] },
    { b: ['a'], a: ['b'] },
  ]) {
    const graph = graphOf(edges as Record<string, string[]>);
    assert.deepEqual(graph.dependenciesOf('a'), ['b']);
    assert.deepEqual(graph.dependenciesOf('b'), []);
    assert.deepEqual(graph.cycles, [['a', 'b', 'a']]);
  }
});

test('one that depends on itself does not', () => {
  const graph = graphOf({ a: ['a'] });
  assert.deepEqual(graph.dependenciesOf('a'), []);
  assert.deepEqual(graph.cycles, [['a', 'a']]);
});

test('what is left of any graph has no cycle, and loses an edge only to a reported one', () => {
  const node = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const edges = fc.array(fc.tuple(node, node), { maxLength: 20 });
  fc.assert(
    fc.property(edges, (pairs) => {
      const map = new Map<string, string[]>();
      for (const [from, to] of pairs) map.set(from, [...(map.get(from) ?? []), to]);
      const graph = buildGraph(map);
      const reaches = (from: string, to: string): boolean =>
        graph.dependenciesOf(from).some((next) => next === to || reaches(next, to));
      for (const name of 'abcdef') assert.equal(reaches(name, name), false);
      const cut = new Set(graph.cycles.map((cycle) => cycle.slice(-2).join('>')));
      for (const [from, to] of pairs)
        assert.equal(graph.dependenciesOf(from).includes(to), !cut.has(`${from}>${to}`));
    }),
    { numRuns: 500 },
  );
});
