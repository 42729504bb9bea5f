import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RunningList } from '../../../../common/relay/exchange/running-list.ts';

interface Item {
  readonly name: string;
  place: number;
}

function listOf(...names: string[]): { list: RunningList<Item>; items: Item[] } {
  const list = new RunningList<Item>();
  const items = names.map((name) => ({ name, place: -1 }));
  for (const item of items) list.add(item);
  return { list, items };
}

function namesIn(list: RunningList<Item>): string[] {
  const names: string[] = [];
  list.forEach(({ name }) => names.push(name));
  return names.toSorted();
}

describe('the list of what runs', () => {
  it('holds what was added and not removed, wherever it stood', () => {
    const { list, items } = listOf('a', 'b', 'c', 'd');
    for (const [index, left] of [
      [1, 'acd'],
      [3, 'ac'],
      [0, 'c'],
      [2, ''],
    ] as const) {
      list.remove(items[index] as Item);
      assert.equal(namesIn(list).join(''), left);
      assert.equal(list.size, left.length);
    }
  });

  it('takes a second removal for none', () => {
    const { list, items } = listOf('a', 'b');
    list.remove(items[0] as Item);
    list.remove(items[0] as Item);
    list.remove({ name: 'never added', place: -1 });
    assert.deepEqual(namesIn(list), ['b']);
  });

  it('calls each once while they remove themselves', () => {
    const { list } = listOf('a', 'b', 'c', 'd', 'e');
    const called: string[] = [];
    list.forEach((item) => {
      called.push(item.name);
      if (item.name !== 'c') list.remove(item);
    });
    assert.deepEqual(called.toSorted(), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(namesIn(list), ['c']);
  });

  it('calls nobody twice when one removes the others', () => {
    const { list, items } = listOf('a', 'b', 'c');
    const called: string[] = [];
    list.forEach(({ name }) => {
      called.push(name);
      for (const item of items) list.remove(item);
    });
    assert.deepEqual(called, ['c']);
  });
});
