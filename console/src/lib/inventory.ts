// Values of inventory as text, by the type and unit of their column.

import type { InventoryColumn } from '../api/schema';
import { dateTime, dayOf, quantity } from './format';
import { texts } from './texts';

/** A value as text; undefined where it is not known. */
export function valueText(value: unknown, column: Pick<InventoryColumn, 'type' | 'unit'> | undefined): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'boolean') return value ? texts.inventory.yes : texts.inventory.no;
  if (typeof value === 'number') {
    if (column?.type === 'time') return timeText(value);
    return quantity(value, column?.unit ?? '');
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A time of the inventory; without the time of day where it is a day. */
function timeText(micros: number): string {
  const time = new Date(micros / 1000);
  const isDay = micros % 86_400_000_000 === 0;
  return isDay ? dayOf(new Date(time.getTime() + time.getTimezoneOffset() * 60_000)).replace(/^\w+,? /, '') : dateTime(time);
}

/** The order of two values of a column; what is not known comes last. */
export function compareValues(a: unknown, b: unknown): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(b) - Number(a);
  return String(a).localeCompare(String(b), 'en', { numeric: true, sensitivity: 'base' });
}

/** Whether any value of a row holds the text, without regard to case. */
export function rowHolds(values: Record<string, unknown>, columns: readonly InventoryColumn[], text: string): boolean {
  const sought = text.toLowerCase();
  return columns.some((column) => valueText(values[column.name], column)?.toLowerCase().includes(sought));
}
