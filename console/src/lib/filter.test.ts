import { describe, expect, it } from 'vitest';

import { type Condition, formatFilter, parseFilter, withColumn } from './filter';

const c = (column: string, operator: Condition['operator'], ...values: string[]): Condition => ({ column, operator, values });

describe('a filter', () => {
  it.each<[string, Condition[]]>([
    ['', []],
    ['name~web', [c('name', '~', 'web')]],
    ['os=debian,ubuntu and blocked=false', [c('os', '=', 'debian', 'ubuntu'), c('blocked', '=', 'false')]],
    ['seen_at>=2026-01-31T12:00:00Z', [c('seen_at', '>=', '2026-01-31T12:00:00Z')]],
    ['name="two words"', [c('name', '=', 'two words')]],
    ['name="a \\"quoted\\" \\\\ one","b,c"', [c('name', '=', 'a "quoted" \\ one', 'b,c')]],
    ['name=""', [c('name', '=', '')]],
    ['name!~x and name!=y', [c('name', '!~', 'x'), c('name', '!=', 'y')]],
  ])('reads and writes %j', (text, conditions) => {
    expect(parseFilter(text)).toEqual(conditions);
    expect(formatFilter(conditions)).toBe(text);
  });

  it('allows white space and any case of and', () => {
    expect(parseFilter('  name ~ web  AND  os = a , b ')).toEqual([c('name', '~', 'web'), c('os', '=', 'a', 'b')]);
  });

  it.each(['name', 'name~', 'name~web and', 'name~web or os=x', 'name~"open', '~web', 'name=a b'])('refuses %j', (text) =>
    expect(parseFilter(text)).toBeUndefined(),
  );

  it('comes back as it was, whatever the value holds', () => {
    let seed = 7;
    const alphabet = ['"', '\\', ',', ' ', 'a', 'é', '=', '~', '\t', 'and'];
    for (let i = 0; i < 500; i++) {
      let text = '';
      for (let n = i % 9; n > 0; n--) {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        text += alphabet[seed % alphabet.length];
      }
      const conditions = [c('name', '=', text, 'x'), c('os', '~', text)];
      expect(parseFilter(formatFilter(conditions))).toEqual(conditions);
    }
  });

  it('replaces the conditions of one column', () => {
    const before = [c('name', '~', 'a'), c('os', '=', 'b')];
    expect(withColumn(before, 'name', [c('name', '~', 'z')])).toEqual([c('os', '=', 'b'), c('name', '~', 'z')]);
    expect(withColumn(before, 'os', [])).toEqual([c('name', '~', 'a')]);
  });
});
