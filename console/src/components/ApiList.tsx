import { ActionIcon, Button, CloseButton, TextInput, Tooltip } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useEffect, useMemo, useState } from 'react';

import type { Answer, GetPath, Input } from '../api/client';
import { useApi } from '../hooks/useApi';
import { type Condition, formatFilter, parseFilter, withColumn } from '../lib/filter';
import type { ListSearch } from '../lib/listSearch';
import { texts } from '../lib/texts';
import classes from './ApiList.module.css';
import { ColumnFilter, describeCondition, type FilterKind } from './ColumnFilter';
import { type Column, DataTable, type Sort } from './DataTable';
import { Icon } from './Icon';
import { Empty, ErrorNotice, Notice } from './Notice';
import { Panel } from './Panel';

type Filterable<P extends GetPath> = 'filter' extends keyof NonNullable<Input<P, 'get'>['query']> ? P : never;
/** The paths that answer lists with filter, order and pages. */
export type ListPath = { [P in GetPath]: [NonNullable<Input<P, 'get'>['query']>] extends [never] ? never : Filterable<P> }[GetPath];
type Item<P extends ListPath> = Answer<P, 'get'> extends { items: (infer T)[] } ? T : never;

/** A column of a list of the API. */
export interface ListColumn<T> extends Column<T> {
  filter?: FilterKind;
}

interface Props<P extends ListPath> {
  path: P;
  label: string;
  columns: ListColumn<Item<P>>[];
  rowKey: (row: Item<P>) => string;
  /** The column that the search field looks into; absent without one. */
  searchColumn?: string;
  defaultSort: Sort;
  /** Conditions of the chosen view, beside those of the reader. */
  view?: Condition[];
  /** Stands left of the search field, such as the choice of views. */
  toolbar?: ReactNode;
  /** What stands where the list has nothing at all. */
  empty: ReactNode;
}

const pageSizes = [50, 100, 250];

/**
 * A list of the API: read page by page, sorted and filtered by the provider.
 * What the reader chose stands in the address, so that it can be sent on.
 */
export function ApiList<P extends ListPath>({ path, label, columns, rowKey, searchColumn, defaultSort, view = [], toolbar, empty }: Props<P>) {
  const search = useSearch({ strict: false }) as ListSearch;
  const navigate = useNavigate();
  const change = (next: Partial<ListSearch>) => void navigate({ to: '.', search: (old: ListSearch) => cleaned({ ...old, ...next }), replace: true });

  const own = useMemo(() => parseFilter(search.filter ?? ''), [search.filter]);
  const sort = parseSort(search.sort) ?? defaultSort;
  const sought: Condition[] = searchColumn && search.search ? [{ column: searchColumn, operator: '~', values: [search.search] }] : [];
  const filter = formatFilter([...view, ...sought, ...(own ?? [])]);
  const pages = usePages([path, filter, formatSort(sort)].join('\n'));

  const query = { filter, sort: formatSort(sort), limit: pages.size, count: true, ...(pages.cursor ? { cursor: pages.cursor } : {}) };
  const list = useApi(path, { query } as Input<P, 'get'>, { keep: true });
  const page = list.data as { items: Item<P>[]; next?: string; total?: number } | undefined;
  const chosen = sought.length + (own?.length ?? 0) > 0;

  return (
    <Panel flush>
      <div className={classes.toolbar}>
        {toolbar}
        {searchColumn && <SearchField value={search.search ?? ''} onChange={(value) => change({ search: value })} />}
      </div>
      {own && own.length > 0 && <Chips conditions={own} columns={columns} onChange={(conditions) => change({ filter: formatFilter(conditions) })} />}
      {own === undefined && <div className={classes.notice}><Notice tone="warning" icon="warning" title={texts.list.badFilter} /></div>}
      {list.error && <div className={classes.notice}><ErrorNotice error={list.error} onRetry={() => void list.refetch()} /></div>}
      {(page ? page.items.length > 0 : !list.error) && (
        <DataTable
          label={label} columns={columns} rows={page?.items ?? []} rowKey={rowKey} sort={sort} loading={!page} stale={list.isPlaceholderData}
          onSort={(next) => change({ sort: formatSort(next) })}
          headerExtra={(column: ListColumn<Item<P>>) =>
            column.filter && (
              <ColumnFilter
                column={column.id} header={column.header} filter={column.filter} conditions={(own ?? []).filter((c) => c.column === column.id)}
                onChange={(conditions) => change({ filter: formatFilter(withColumn(own ?? [], column.id, conditions)) })}
              />
            )
          }
        />
      )}
      {page?.items.length === 0 && (chosen || pages.number > 0
        ? <Empty icon="search" title={texts.list.noMatch} text={texts.list.noMatchText} actions={<Button variant="default" size="xs" onClick={() => change({ search: '', filter: '' })}>{texts.list.clearFilters}</Button>} />
        : empty)}
      {page && page.items.length > 0 && <Pager pages={pages} shown={page.items.length} total={page.total} next={page.next} />}
    </Panel>
  );
}

function cleaned(search: ListSearch): ListSearch {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value)) as ListSearch;
}

function formatSort(sort: Sort): string {
  return `${sort.descending ? '-' : ''}${sort.column}`;
}

function parseSort(text: string | undefined): Sort | undefined {
  return text ? { column: text.replace(/^-/, ''), descending: text.startsWith('-') } : undefined;
}

interface Pages {
  size: number;
  setSize: (size: number) => void;
  number: number;
  cursor: string | undefined;
  forward: (cursor: string) => void;
  back: () => void;
}

/** The way through the pages of one list: the cursors of those before. It begins anew when the list is another. */
function usePages(list: string): Pages {
  const [size, setSize] = useState(pageSizes[0]!);
  const [way, setWay] = useState<{ list: string; cursors: string[] }>({ list, cursors: [] });
  const cursors = way.list === list ? way.cursors : [];
  return {
    size,
    setSize: (next) => { setSize(next); setWay({ list, cursors: [] }); },
    number: cursors.length,
    cursor: cursors.at(-1),
    forward: (cursor) => setWay({ list, cursors: [...cursors, cursor] }),
    back: () => setWay({ list, cursors: cursors.slice(0, -1) }),
  };
}

function Pager({ pages, shown, total, next }: { pages: Pages; shown: number; total: number | undefined; next: string | undefined }) {
  const from = pages.number * pages.size + 1;
  return (
    <footer className={classes.pager}>
      <label className={classes.size}>
        {texts.list.perPage}
        <select value={pages.size} onChange={(event) => pages.setSize(Number(event.currentTarget.value))}>
          {pageSizes.map((size) => <option key={size}>{size}</option>)}
        </select>
      </label>
      <span aria-live="polite">{texts.list.range(from, from + shown - 1, total)}</span>
      <span className={classes.steps}>
        <Tooltip label={texts.list.previous}>
          <ActionIcon variant="default" aria-label={texts.list.previous} disabled={pages.number === 0} onClick={pages.back}><Icon name="left" size={16} /></ActionIcon>
        </Tooltip>
        <Tooltip label={texts.list.next}>
          <ActionIcon variant="default" aria-label={texts.list.next} disabled={!next} onClick={() => next && pages.forward(next)}><Icon name="right" size={16} /></ActionIcon>
        </Tooltip>
      </span>
    </footer>
  );
}

interface ChipsProps<T> {
  conditions: Condition[];
  columns: ListColumn<T>[];
  onChange: (conditions: Condition[]) => void;
}

function Chips<T>({ conditions, columns, onChange }: ChipsProps<T>) {
  return (
    <ul className={classes.chips} aria-label={texts.list.filters}>
      {conditions.map((condition, i) => {
        const column = columns.find((c) => c.id === condition.column);
        const text = column ? describeCondition(condition, column.header, column.filter) : formatFilter([condition]);
        return (
          <li key={text} className={classes.chip}>
            {text}
            <CloseButton size="xs" aria-label={texts.list.removeFilter(text)} onClick={() => onChange(conditions.filter((_, j) => j !== i))} />
          </li>
        );
      })}
      <li><Button size="compact-xs" variant="subtle" onClick={() => onChange([])}>{texts.list.clearFilters}</Button></li>
    </ul>
  );
}

/** Says what was typed once the typing pauses. */
function SearchField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const say = useDebouncedCallback((next: string) => onChange(next), 250);
  useEffect(() => setText(value), [value]);
  const set = (next: string) => { setText(next); say(next.trim()); };
  return (
    <TextInput
      type="search" size="xs" className={classes.search} aria-label={texts.list.search} placeholder={texts.list.search} value={text}
      leftSection={<Icon name="search" size={15} />} onChange={(event) => set(event.currentTarget.value)}
      rightSection={text && <CloseButton size="xs" aria-label={texts.list.clearSearch} onClick={() => set('')} />}
    />
  );
}
