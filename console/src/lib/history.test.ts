import { describe, expect, it } from 'vitest';

import type { InventoryChange, InventoryClass, InventoryColumn } from '../api/schema';
import { reports, titleOf, valuesOf } from './history';

const column = (name: string, key = false): InventoryColumn => ({ name, type: 'string', key, description: '' });
const software: InventoryClass = {
  name: 'InstalledSoftware', columns: [column('Name', true), column('Version', true), column('Status')], aliases: [], description: '', single: false,
};
const system: InventoryClass = { ...software, name: 'OS', columns: [column('Caption'), column('Kernel')], single: true };
const change = (time: string, name: string, kind: InventoryChange['change'], id: string): InventoryChange => ({
  time, class: name, change: kind, columns: [],
  ...(kind === 'removed' ? {} : { values: { Name: id } }),
  ...(kind === 'added' ? {} : { before: { Name: `${id} before` } }),
});

describe('history', () => {
  it('is grouped by report and class, in the order in which it comes', () => {
    const found = reports([
      change('t2', 'Service', 'added', 'a'),
      change('t2', 'OS', 'changed', 'b'),
      change('t2', 'Service', 'removed', 'c'),
      change('t1', 'Service', 'added', 'd'),
    ]);
    expect(found.map((r) => [r.time, r.classes.map((c) => [c.class, c.added, c.removed, c.changed])])).toEqual([
      ['t2', [['Service', 1, 1, 0], ['OS', 0, 0, 1]]],
      ['t1', [['Service', 1, 0, 0]]],
    ]);
    expect(found[0]!.classes[0]!.changes.map(valuesOf)).toEqual([{ Name: 'a' }, { Name: 'c before' }]);
  });

  it('is empty when nothing happened', () => expect(reports([])).toEqual([]));
});

describe('the name of a thing', () => {
  it.each([
    [{ Name: 'bash', Version: '5.3' }, software, 'bash'],
    [{ Kernel: '6.1' }, system, '6.1'],
    [{ Caption: 'Debian', Kernel: '6.1' }, system, 'Debian'],
    [{ a: 1, b: 2 }, undefined, '1'],
    [{}, software, ''],
  ])('%j', (values, known, name) => expect(titleOf(values, known)).toBe(name));
});
