// Groups what changed on a device as a reader wants to see it: by report, and
// within it by class of inventory.

import type { InventoryChange, InventoryClass } from '../api/schema';

export type Values = Record<string, unknown>;

/** What happened to one class at one time. */
export interface ClassChanges {
  class: string;
  changes: InventoryChange[];
  added: number;
  removed: number;
  changed: number;
}

/** What one report of a device brought. */
export interface Report {
  time: string;
  classes: ClassChanges[];
}

/** Groups changes, the newest first, into reports with their classes, in the order in which they come. */
export function reports(changes: readonly InventoryChange[]): Report[] {
  const byTime = new Map<string, Map<string, ClassChanges>>();
  for (const change of changes) {
    const classes = entry(byTime, change.time, () => new Map<string, ClassChanges>());
    const group = entry(classes, change.class, () => ({ class: change.class, changes: [], added: 0, removed: 0, changed: 0 }));
    group.changes.push(change);
    group[change.change]++;
  }
  return [...byTime].map(([time, classes]) => ({ time, classes: [...classes.values()] }));
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

/** The values that a change is about: those that came, or for a row that went those that it had. */
export function valuesOf(change: InventoryChange): Values {
  return change.values ?? change.before ?? {};
}

/**
 * What a thing is called: the values of its key columns, or of the first
 * column of a class with one row. A version is part of the key of software,
 * since two may stand side by side, but not of its name.
 */
export function titleOf(values: Values, known: InventoryClass | undefined): string {
  const key = known?.columns.filter((column) => column.key && column.name !== 'Version').map((column) => column.name) ?? [];
  const first = (known?.columns.map((column) => column.name) ?? Object.keys(values)).filter((name) => values[name] !== undefined).slice(0, 1);
  return (key.length > 0 ? key : first)
    .map((name) => values[name])
    .filter((value) => value !== undefined && value !== '')
    .join(' · ');
}
