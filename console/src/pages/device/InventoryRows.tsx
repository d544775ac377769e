import { ActionIcon, Button, TextInput } from '@mantine/core';
import { useEffect, useMemo, useState } from 'react';

import type { InventoryClass, InventoryColumn, InventoryRow } from '../../api/schema';
import { type Column, DataTable, type Sort } from '../../components/DataTable';
import { Icon } from '../../components/Icon';
import { Empty, ErrorNotice } from '../../components/Notice';
import { Properties } from '../../components/Properties';
import { Time } from '../../components/Time';
import { useApiPages } from '../../hooks/useApi';
import { words } from '../../lib/format';
import { compareValues, rowHolds, valueText } from '../../lib/inventory';
import { texts } from '../../lib/texts';
import classes from './Inventory.module.css';

/** How many rows are read by themselves; more are read when asked for. */
const readAhead = 5000;
const perRead = 1000;
const perPage = 100;

interface Props {
  id: string;
  name: string;
  /** What the class is; undefined for one that only the client knows. */
  known: InventoryClass | undefined;
}

/** The rows of one class of inventory: a list of properties where there is one row, else a table. */
export function InventoryRows({ id, name, known }: Props) {
  const rows = useApiPages('/devices/{id}/inventory/{class}', { path: { id, class: name }, query: { limit: perRead } });
  const { hasNextPage, isFetchingNextPage, fetchNextPage, items } = rows;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && items.length < readAhead) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, items.length]);
  const columns = useMemo(() => columnsOf(known, items), [known, items]);
  if (rows.error && items.length === 0) return <ErrorNotice error={rows.error} onRetry={() => void rows.refetch()} />;
  if (rows.isPending) return <DataTable label={name} columns={(known?.columns ?? []).slice(0, 4).map((c) => ({ id: c.name, header: words(c.name), render: () => null }))} rows={[]} rowKey={() => ''} loading />;
  if (items.length === 0) return <Empty title={texts.inventory.noRows} text={texts.inventory.noRowsText} />;
  if ((known?.single ?? true) && items.length === 1) return <OneRow row={items[0]!} columns={columns} />;
  return <ManyRows label={words(name)} rows={items} columns={columns} more={hasNextPage ? () => void fetchNextPage() : undefined} />;
}

/** The columns with a value in any row; of a class that is not known, those of the rows. */
function columnsOf(known: InventoryClass | undefined, rows: InventoryRow[]): InventoryColumn[] {
  const filled = new Set(rows.flatMap((row) => Object.keys(row.values)));
  if (!known) return [...filled].map((name) => ({ name, type: 'string', key: false, description: '' }));
  return known.columns.filter((column) => filled.has(column.name)).sort((a, b) => Number(b.key) - Number(a.key));
}

function OneRow({ row, columns }: { row: InventoryRow; columns: InventoryColumn[] }) {
  const items = columns.map((column) => ({
    name: words(column.name), help: column.description, value: valueText(row.values[column.name], column),
  }));
  return <div className={classes.properties}><Properties wide items={[...items, { name: texts.inventory.since, value: <Time value={row.since} /> }]} /></div>;
}

interface ManyProps {
  label: string;
  rows: InventoryRow[];
  columns: InventoryColumn[];
  /** Reads more rows, where there are more. */
  more: (() => void) | undefined;
}

const since = 'since';

function ManyRows({ label, rows, columns, more }: ManyProps) {
  const [sort, setSort] = useState<Sort>({ column: columns[0]?.name ?? since, descending: false });
  const [search, setSearch] = useState('');
  const [page, setPage] = useState(0);
  const found = useMemo(() => {
    const value = (row: InventoryRow) => (sort.column === since ? row.since : row.values[sort.column]);
    const kept = search.trim() ? rows.filter((row) => rowHolds(row.values, columns, search.trim())) : [...rows];
    const sign = sort.descending ? -1 : 1;
    return kept.sort((a, b) => sign * compareValues(value(a), value(b)));
  }, [rows, columns, search, sort]);
  const pages = Math.max(1, Math.ceil(found.length / perPage));
  const at = Math.min(page, pages - 1);
  const shown = found.slice(at * perPage, (at + 1) * perPage);
  const table: Column<InventoryRow>[] = [...columns.map(tableColumn), { id: since, header: texts.inventory.since, sortable: true, render: (row) => <Time value={row.since} /> }];
  return (
    <>
      <div className={classes.toolbar}>
        <TextInput
          type="search" size="xs" value={search} aria-label={texts.inventory.find(texts.inventory.rows(rows.length))}
          placeholder={texts.inventory.find(texts.inventory.rows(rows.length))} leftSection={<Icon name="search" size={15} />}
          onChange={(event) => { setSearch(event.currentTarget.value); setPage(0); }}
        />
        {more && <span className="dim">{texts.inventory.truncated(rows.length)} <Button size="compact-xs" variant="default" onClick={more}>{texts.inventory.more(rows.length)}</Button></span>}
      </div>
      {found.length === 0
        ? <Empty icon="search" title={texts.list.noMatch} />
        : <DataTable label={label} columns={table} rows={shown} rowKey={(row) => JSON.stringify(row.values)} sort={sort} onSort={(next) => { setSort(next); setPage(0); }} />}
      {pages > 1 && (
        <footer className={classes.pager}>
          <span aria-live="polite">{texts.list.range(at * perPage + 1, at * perPage + shown.length, found.length)}</span>
          <ActionIcon variant="default" aria-label={texts.list.previous} disabled={at === 0} onClick={() => setPage(at - 1)}><Icon name="left" size={16} /></ActionIcon>
          <ActionIcon variant="default" aria-label={texts.list.next} disabled={at === pages - 1} onClick={() => setPage(at + 1)}><Icon name="right" size={16} /></ActionIcon>
        </footer>
      )}
    </>
  );
}

function tableColumn(column: InventoryColumn): Column<InventoryRow> {
  return {
    id: column.name,
    header: words(column.name),
    help: column.description,
    sortable: true,
    ...(column.type === 'integer' && column.unit ? { align: 'right' as const } : {}),
    render: (row) => {
      const text = valueText(row.values[column.name], column);
      if (text === undefined) return null;
      return <span className={`${classes.value} ${row.values[column.name] === false ? 'dim' : ''}`} title={text.length > 30 ? text : undefined}>{text}</span>;
    },
  };
}
