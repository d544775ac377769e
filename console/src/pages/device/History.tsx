import { Button, NativeSelect, Skeleton } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';

import type { InventoryChange, InventoryClass } from '../../api/schema';
import { Icon } from '../../components/Icon';
import { Empty, ErrorNotice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { Time } from '../../components/Time';
import { useApi, useApiPages } from '../../hooks/useApi';
import { dayOf, timeOfDay, words } from '../../lib/format';
import { type ClassChanges, type Report, reports, titleOf, type Values, valuesOf } from '../../lib/history';
import { valueText } from '../../lib/inventory';
import { texts } from '../../lib/texts';
import classes from './History.module.css';

/** What the API gives at once; the first inventory of a machine has about as many. */
const perRead = 1000;

/** What changed on a device, when, and what it was before. */
export function History() {
  const { id } = useParams({ from: '/shell/devices/$id/history' });
  const { class: chosen } = useSearch({ from: '/shell/devices/$id/history' });
  const navigate = useNavigate();
  const known = useApi('/inventory-classes', {});
  const events = useApiPages('/devices/{id}/history', { path: { id }, query: { limit: perRead, ...(chosen ? { class: chosen } : {}) } });
  const byName = useMemo(() => new Map((known.data?.items ?? []).map((c) => [c.name, c])), [known.data]);
  const found = useMemo(() => reports(events.items), [events.items]);
  const choose = (name: string) => void navigate({ to: '/devices/$id/history', params: { id }, search: name ? { class: name } : {}, replace: true });
  return (
    <>
      <NativeSelect
        size="xs" className={classes.filter} aria-label={texts.history.class} value={chosen ?? ''} onChange={(event) => choose(event.currentTarget.value)}
        data={[{ value: '', label: texts.history.allClasses }, ...(known.data?.items ?? []).map((c) => ({ value: c.name, label: words(c.name) }))]}
      />
      {events.error && <ErrorNotice error={events.error} onRetry={() => void events.refetch()} />}
      {events.isPending && !events.error && <Skeleton height={320} radius="md" />}
      {events.isSuccess && found.length === 0 && (
        <Panel><Empty icon="silent" title={texts.history.none} text={chosen ? texts.history.noneOfClass : texts.history.noneText} /></Panel>
      )}
      {found.length > 0 && <Timeline reports={found} classes={byName} unfinished={events.hasNextPage} />}
      {found.length > 0 && (events.hasNextPage
        ? <Button className={classes.older} variant="default" size="xs" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>{texts.history.older}</Button>
        : <p className={classes.end}>{texts.history.end}</p>)}
    </>
  );
}

interface TimelineProps {
  reports: Report[];
  classes: ReadonlyMap<string, InventoryClass>;
  /** There is more to read, perhaps of the last class of the last report. */
  unfinished: boolean;
}

function Timeline({ reports: list, classes: byName, unfinished }: TimelineProps) {
  let day = '';
  return (
    <ol className={classes.timeline}>
      {list.map((report) => {
        const time = new Date(report.time);
        const newDay = dayOf(time) === day ? undefined : (day = dayOf(time));
        return (
          <li key={report.time}>
            {newDay && <h2 className={classes.day}>{newDay}</h2>}
            <Panel title={timeOfDay(time)} aside={<Time value={report.time} />}>
              {report.classes.map((c) => (
                <ClassSection key={c.class} changes={c} known={byName.get(c.class)} unfinished={unfinished && report === list.at(-1) && c === report.classes.at(-1)} />
              ))}
            </Panel>
          </li>
        );
      })}
    </ol>
  );
}

/** A few changes are shown at once; many wait until somebody asks. */
const few = 6;
const many = 100;

function ClassSection({ changes: c, known, unfinished }: { changes: ClassChanges; known: InventoryClass | undefined; unfinished: boolean }) {
  const [open, setOpen] = useState(c.changes.length <= few);
  const [all, setAll] = useState(false);
  const shown = all ? c.changes : c.changes.slice(0, many);
  return (
    <section className={classes.class}>
      <button type="button" className={classes.head} aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className={classes.chevron} data-open={open || undefined}><Icon name="right" size={14} /></span>
        <strong>{words(c.class)}</strong>
        <span className="dim">{texts.history.counts(c.added, c.removed, c.changed)} {unfinished && texts.history.more}</span>
      </button>
      {open && (
        <ul className={classes.changes}>
          {shown.map((change, i) => <ChangeLine key={i} change={change} known={known} />)}
          {shown.length < c.changes.length && (
            <li><Button size="compact-xs" variant="subtle" onClick={() => setAll(true)}>{texts.history.showAll(c.changes.length)}</Button></li>
          )}
        </ul>
      )}
    </section>
  );
}

function ChangeLine({ change, known }: { change: InventoryChange; known: InventoryClass | undefined }) {
  const column = (name: string) => known?.columns.find((c) => c.name === name);
  const said = (name: string, value: unknown) => valueText(value, column(name)) ?? texts.history.unset;
  const values = valuesOf(change);
  return (
    <li className={classes.change} data-kind={change.change}>
      <Icon name={change.change} size={16} label={texts.history[change.change]} />
      <div>
        <span className={classes.title}>{titleOf(values, known)}</span>
        {change.change !== 'changed' && <span className="dim"> {details(values, known)}</span>}
        {change.change === 'changed' && change.columns.map((name) => (
          <div key={name} className={classes.difference}>
            <span className="dim">{words(name)}</span>{' '}
            <span className="sr-only">{texts.history.was} </span>
            <del>{said(name, change.before?.[name])}</del>
            <span aria-hidden className="dim"> → </span>
            <span className="sr-only"> {texts.history.is} </span>
            <ins>{said(name, change.values?.[name])}</ins>
          </div>
        ))}
      </div>
    </li>
  );
}

/** The first few values beside those that are the title. */
function details(values: Values, known: InventoryClass | undefined): string {
  if (!known) return '';
  const title = titleOf(values, known);
  return known.columns
    .filter((column) => column.name === 'Version' || (!column.key && column.type === 'string'))
    .map((column) => valueText(values[column.name], column))
    .filter((text) => text !== undefined && text !== title && text.length < 60)
    .slice(0, 3)
    .join(' · ');
}
