import { describe, expect, it } from 'vitest';

import type { InventoryColumn } from '../api/schema';
import { compareValues, rowHolds, valueText } from './inventory';

const column = (type: InventoryColumn['type'], unit = '', name = 'x'): InventoryColumn => ({ name, type, unit, key: false, description: '' });

describe('a value of inventory', () => {
  it.each([
    ['Debian', column('string'), 'Debian'],
    ['', column('string'), undefined],
    [undefined, column('integer'), undefined],
    [null, column('integer'), undefined],
    [0, column('integer', 'bytes'), '0 B'],
    [8_589_934_592, column('integer', 'bytes'), '8 GiB'],
    [65535, column('integer'), '65535'],
    [true, column('bool'), 'Yes'],
    [false, column('bool'), 'No'],
    [3600, undefined, '3600'],
    [['a', 'b'], undefined, '["a","b"]'],
    [1_700_006_400_000_000 - (1_700_006_400_000_000 % 86_400_000_000), column('time'), '15 November 2023'],
  ])('%j is %s', (value, of, text) => expect(valueText(value, of)).toBe(text));

  it('is a time with its seconds where it is no day', () => {
    expect(valueText(1_700_000_000_000_000, column('time'))).toMatch(/Nov 2023.*:13:20|Nov 2023.*:\d\d:20/);
  });
});

describe('order', () => {
  it('knows numbers in text, and puts what is unknown last', () => {
    expect(['eth10', undefined, 'eth9', 'Eth1'].sort(compareValues)).toEqual(['Eth1', 'eth9', 'eth10', undefined]);
    expect([{ v: 3 }, { v: undefined }, { v: 1 }].sort((a, b) => compareValues(a.v, b.v)).map((x) => x.v)).toEqual([1, 3, undefined]);
    expect(compareValues(true, false)).toBeLessThan(0);
  });
});

describe('search', () => {
  const columns = [column('string', '', 'Name'), column('integer', 'bytes', 'Size')];
  it.each([
    ['BASH', true],
    ['4 kib', true],
    ['zsh', false],
  ])('for %s: %s', (text, found) => expect(rowHolds({ Name: 'bash', Size: 4096 }, columns, text)).toBe(found));
});
