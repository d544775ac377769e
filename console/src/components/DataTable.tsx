import type { ReactNode } from 'react';

import { texts } from '../lib/texts';
import classes from './DataTable.module.css';
import { Icon } from './Icon';

/** One column of a table. */
export interface Column<T> {
  /** Unique in the table; in lists of the API the name of its column. */
  id: string;
  header: string;
  render: (row: T) => ReactNode;
  /** Whether the table can be sorted by it. */
  sortable?: boolean;
  align?: 'right';
  /** The one that takes what space there is, with long values cut. */
  grow?: boolean;
  /** Left out where the window is narrow (true), or where it is not wide. */
  minor?: boolean | 'wide';
  /** What it means, for whoever points at the header. */
  help?: string;
  /** Share of the width, such as 20%, so that tables below each other agree. */
  width?: string;
}

export interface Sort {
  column: string;
  descending: boolean;
}

interface Props<T> {
  /** What the table holds, for those who cannot see it. */
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string;
  sort?: Sort | undefined;
  onSort?: (sort: Sort) => void;
  /** Stands in the header beside a column's name, such as its filter. */
  headerExtra?: (column: Column<T>) => ReactNode;
  /** What is shown is being replaced. */
  stale?: boolean;
  /** Number of lines to draw while nothing is there yet. */
  loading?: boolean;
}

const placeholders = [72, 58, 86, 64, 78, 52, 82, 60];

/** Rows and columns; it neither reads nor orders anything itself. */
export function DataTable<T>({ label, columns, rows, rowKey, sort, onSort, headerExtra, stale, loading }: Props<T>) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label={label}>
      <table className={classes.table} data-stale={stale || undefined} aria-busy={loading || stale || undefined}>
        <caption className="sr-only">{label}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <HeaderCell key={column.id} column={column} sort={sort} onSort={onSort} extra={headerExtra?.(column)} />
            ))}
          </tr>
        </thead>
        <tbody>
          {loading
            ? placeholders.map((width, line) => (
                <tr key={line} aria-hidden>
                  {columns.map((column, i) => (
                    <td key={column.id} data-minor={column.minor || undefined}>
                      <span className={classes.placeholder} style={{ width: `${(width * (i + 7)) % 55 + 35}%` }} />
                    </td>
                  ))}
                </tr>
              ))
            : rows.map((row) => (
                <tr key={rowKey(row)}>
                  {columns.map((column) => (
                    <td key={column.id} data-align={column.align} data-grow={column.grow || undefined} data-minor={column.minor || undefined}>
                      {column.render(row)}
                    </td>
                  ))}
                </tr>
              ))}
        </tbody>
      </table>
    </div>
  );
}

interface HeaderProps<T> {
  column: Column<T>;
  sort: Sort | undefined;
  onSort: ((sort: Sort) => void) | undefined;
  extra: ReactNode;
}

function HeaderCell<T>({ column, sort, onSort, extra }: HeaderProps<T>) {
  const mine = sort?.column === column.id ? sort : undefined;
  const order = mine ? (mine.descending ? 'descending' : 'ascending') : undefined;
  return (
    <th
      scope="col" data-align={column.align} data-minor={column.minor || undefined} data-grow={column.grow || undefined}
      title={column.help} style={column.width ? { width: column.width } : undefined} {...(order ? { 'aria-sort': order } : {})}
    >
      <span className={classes.header}>
        {column.sortable && onSort ? (
          <button
            type="button" className={classes.sort} title={texts.list.sortedBy(column.header)}
            onClick={() => onSort({ column: column.id, descending: mine ? !mine.descending : false })}
          >
            {column.header}
            <span className={classes.arrow} data-on={mine ? true : undefined}><Icon name={mine?.descending ? 'down' : 'up'} size={13} /></span>
          </button>
        ) : (
          <span className={classes.name}>{column.header}</span>
        )}
        {extra}
      </span>
    </th>
  );
}
