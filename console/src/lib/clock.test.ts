import { describe, expect, it } from 'vitest';

import { noteServerTime, siteNow } from './clock';

describe("the site's clock", () => {
  const local = Date.parse('2026-11-21T12:00:00Z');
  it.each<[string, string | null, string]>([
    ['is ours where both agree', 'Sat, 21 Nov 2026 12:00:01 GMT', '2026-11-21T12:00:00.000Z'],
    ['counts where ours is off', 'Sat, 21 Nov 2026 13:30:00 GMT', '2026-11-21T13:30:00.000Z'],
    ['stays when an answer tells none', null, '2026-11-21T13:30:00.000Z'],
    ['stays when an answer tells nonsense', 'yesterday', '2026-11-21T13:30:00.000Z'],
    ['is believed again when right', 'Sat, 21 Nov 2026 12:00:00 GMT', '2026-11-21T12:00:00.000Z'],
  ])('%s', (_, header, now) => {
    noteServerTime(header, local);
    expect(siteNow(local).toISOString()).toBe(now);
  });
});
