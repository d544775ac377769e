import { describe, expect, it } from 'vitest';

import { codeIn, safeTarget } from './signIn';

describe('the code of a link', () => {
  it.each([
    ['#code=msc_abc-_1', 'msc_abc-_1'],
    ['#code=a%2Bb', 'a+b'],
    ['#msc_abc', 'msc_abc'],
    ['#', undefined],
    ['', undefined],
    ['#code=', undefined],
    ['#other=x', undefined],
    ['#%zz', undefined],
  ])('%s has %s', (fragment, code) => expect(codeIn(fragment)).toBe(code));
});

describe('where to go after the sign-in', () => {
  it.each([
    ['/devices?filter=name~web', '/devices?filter=name~web'],
    [undefined, '/'],
    ['', '/'],
    ['https://elsewhere.example/', '/'],
    ['//elsewhere.example/', '/'],
    ['/\\elsewhere.example/', '/'],
    ['/\t/elsewhere.example/', '/'],
    ['/sign-in?to=/', '/'],
    ['javascript:alert(1)', '/'],
  ])('%s leads to %s', (to, target) => expect(safeTarget(to)).toBe(target));
});
