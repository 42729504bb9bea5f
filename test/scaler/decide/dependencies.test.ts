import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildGraph, MAX_DEPENDENCIES } from '../../../scaler/decide/dependencies.ts';

const graphOf = (edges: Record<string, string[]>) => buildGraph(new Map(Object.entries(edges)));

test('both directions, each edge once', () => {
  const graph = graphOf({ a: ['b', 'db', 'b'], b: ['db'] });
  assert.deepEqual(graph.dependenciesOf('a'), ['b', 'db']);
  assert.deepEqual(graph.dependentsOf('db'), ['b', 'a']);
  assert.deepEqual(graph.dependenciesOf('db'), []);
  assert.equal(graph.cycles.size, 0);
});

test('a cycle is broken at the same place whatever the order of the functions, and told with its path', () => {
  for (const edges of [
    { a: ['b'], b: ['a'] },
    { b: ['a'], a: ['b'] },
  ]) {
    const graph = graphOf(edges as Record<string, string[]>);
    assert.deepEqual(graph.dependenciesOf('a'), ['b']);
    assert.deepEqual(graph.dependenciesOf('b'), []);
    assert.deepEqual([...graph.cycles], [['a', { path: ['a', 'b', 'a'], more: 0 }]]);
  }
});

test('one that depends on itself does not', () => {
  const graph = graphOf({ a: ['a'] });
  assert.deepEqual(graph.dependenciesOf('a'), []);
  assert.deepEqual([...graph.cycles], [['a', { path: ['a', 'a'], more: 0 }]]);
});

test('a chain as long as there are workloads overflows nothing, and is cut at the bound', () => {
  const name = (i: number) => `f${String(i).padStart(6, '0')}`;
  const chain = new Map(Array.from({ length: 20_000 }, (_, i) => [name(i), [name(i + 1)]]));
  const graph = buildGraph(chain);
  for (const start of [0, 7_000, 19_000]) {
    let length = 0;
    for (let key = name(start); ; length++) {
      const [next] = graph.dependenciesOf(key);
      if (next === undefined) break;
      key = next;
    }
    assert.ok(length <= MAX_DEPENDENCIES, `${length}`);
  }
  assert.equal(graph.dropped.size, Math.floor(20_000 / (MAX_DEPENDENCIES + 1)));
});

test('600 that all depend on each other cost what they have, not the paths between them', () => {
  const names = Array.from({ length: 600 }, (_, i) => `f${String(i).padStart(3, '0')}`);
  const graph = buildGraph(new Map(names.map((name) => [name, names.filter((other) => other !== name)])));
  let kept = 0;
  for (const name of names) kept += graph.dependenciesOf(name).length;
  assert.ok(kept <= 600 * MAX_DEPENDENCIES, `${kept} edges`);
  const told = [...graph.cycles.values()];
  assert.ok(told.length <= 600);
  for (const { path } of told) assert.ok(path.length <= 12, `${path.length}`);
  const all = told.reduce((sum, { more }) => sum + 1 + more, 0);
  assert.equal(all, (600 * 599) / 2, 'each is counted');
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
      const isTold = (to: string) => graph.cycles.has(to);
      for (const [from, to] of pairs)
        assert.ok(graph.dependenciesOf(from).includes(to) || isTold(to), `${from}>${to}`);
      for (const { path } of graph.cycles.values())
        assert.equal(graph.dependenciesOf(path.at(-2) as string).includes(path.at(-1) as string), false);
    }),
    { numRuns: 500 },
  );
});
