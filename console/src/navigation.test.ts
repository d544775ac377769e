import { describe, expect, it } from 'vitest';

import { firstPage, visibleWorkspaces, workspaces } from './navigation';

describe('the navigation', () => {
  it('has the four workspaces of the original', () => {
    expect(workspaces.map((workspace) => workspace.text)).toEqual([
      'Assets and Compliance', 'Software Library', 'Monitoring', 'Administration',
    ]);
  });

  it('shows only what the reader may see, and no empty workspace', () => {
    const shown = visibleWorkspaces(['Device.Read', 'Registration.Read']);
    expect(shown.map((workspace) => workspace.id)).toEqual(['assets', 'administration']);
    expect(visibleWorkspaces([])).toEqual([]);
  });

  it('begins with the best page that may be seen', () => {
    expect(firstPage(['Device.Read', 'Site.Read'])).toBe('/site');
    expect(firstPage(['Registration.Read', 'Device.Read'])).toBe('/devices');
    expect(firstPage([])).toBeUndefined();
  });

  it('can begin with every page', () => {
    for (const node of workspaces.flatMap((workspace) => workspace.nodes)) expect(firstPage([node.permission])).toBe(node.path);
  });
});
