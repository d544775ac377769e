// The workspaces of the console and what is in them. A feature that brings a
// page adds a line here; a workspace without a line that the reader may see is
// not shown.

import type { IconName } from './components/Icon';
import { texts } from './lib/texts';

/** One page that the navigation leads to. */
export interface Node {
  path: '/devices' | '/site' | '/registrations';
  text: string;
  icon: IconName;
  /** What the reader must be permitted to do to see it. */
  permission: string;
}

/** A workspace of the original with its nodes. */
export interface Workspace {
  id: string;
  text: string;
  nodes: Node[];
}

export const workspaces: Workspace[] = [
  {
    id: 'assets',
    text: texts.workspaces.assets,
    nodes: [{ path: '/devices', text: texts.nodes.devices, icon: 'device', permission: 'Device.Read' }],
  },
  { id: 'software', text: texts.workspaces.software, nodes: [] },
  {
    id: 'monitoring',
    text: texts.workspaces.monitoring,
    nodes: [{ path: '/site', text: texts.nodes.site, icon: 'site', permission: 'Site.Read' }],
  },
  {
    id: 'administration',
    text: texts.workspaces.administration,
    nodes: [{ path: '/registrations', text: texts.nodes.registrations, icon: 'registration', permission: 'Registration.Read' }],
  },
];

/** The pages to begin with, the best first. */
const firstPages: Node['path'][] = ['/site', '/devices', '/registrations'];

/** The workspaces that somebody with these permissions sees. */
export function visibleWorkspaces(permissions: readonly string[]): Workspace[] {
  return workspaces
    .map((workspace) => ({ ...workspace, nodes: workspace.nodes.filter((node) => permissions.includes(node.permission)) }))
    .filter((workspace) => workspace.nodes.length > 0);
}

/** The page that somebody with these permissions begins with; undefined when there is none. */
export function firstPage(permissions: readonly string[]): Node['path'] | undefined {
  const visible = new Set(visibleWorkspaces(permissions).flatMap((workspace) => workspace.nodes.map((node) => node.path)));
  return firstPages.find((path) => visible.has(path));
}
