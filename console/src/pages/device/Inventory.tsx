import { Skeleton } from '@mantine/core';
import { Link, useNavigate, useParams } from '@tanstack/react-router';

import type { DeviceInventory, InventoryClass } from '../../api/schema';
import { Empty, ErrorNotice, Notice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { Time } from '../../components/Time';
import { useApi } from '../../hooks/useApi';
import { grouped, words } from '../../lib/format';
import { texts } from '../../lib/texts';
import classes from './Inventory.module.css';
import { InventoryRows } from './InventoryRows';

/** The inventory of a device: its classes, and the rows of the chosen one. */
export function Inventory() {
  const { id, class: chosen } = useParams({ strict: false }) as { id: string; class?: string };
  const inventory = useApi('/devices/{id}/inventory', { path: { id } });
  const known = useApi('/inventory-classes', {});
  const error = inventory.error ?? known.error;
  if (error && !(inventory.data && known.data)) return <ErrorNotice error={error} onRetry={() => { void inventory.refetch(); void known.refetch(); }} />;
  if (!inventory.data || !known.data) return <Skeleton height={360} radius="md" />;
  const { classes: found } = inventory.data;
  if (found.length === 0) {
    return <Panel><Empty title={texts.inventory.none} text={texts.inventory.noneText} command={texts.inventory.noneCommand} /></Panel>;
  }
  const name = chosen ?? found[0]!.class;
  const summary = found.find((c) => c.class === name);
  const described = known.data.items.find((c) => c.name === name);
  return (
    <>
      <Unread inventory={inventory.data} />
      <div className={classes.columns}>
        <ClassList id={id} inventory={inventory.data} chosen={name} />
        <Panel
          title={words(name)} flush
          aside={summary && <>{texts.inventory.rows(summary.rows)} · {texts.inventory.changed('')}<Time value={summary.changed_at} /></>}
        >
          {summary?.unread && <div className={classes.notice}><Notice tone="warning" icon="warning" title={texts.inventory.classUnread} /></div>}
          {described?.description && <Description of={described} />}
          {summary
            ? <InventoryRows key={name} id={id} name={name} known={described} />
            : <Empty title={texts.inventory.noRows} text={texts.inventory.noRowsText} />}
        </Panel>
      </div>
    </>
  );
}

function Description({ of }: { of: InventoryClass }) {
  return (
    <p className={classes.description}>
      {of.description}
      {of.volatile && <span title={of.volatile}> {texts.inventory.volatile} {of.volatile}</span>}
    </p>
  );
}

function Unread({ inventory }: { inventory: DeviceInventory }) {
  if (inventory.errors.length === 0) return null;
  return (
    <Notice tone="warning" icon="warning" title={texts.inventory.unread}>
      {inventory.errors.map((error) => <p key={`${error.class} ${error.text}`}>{words(error.class)}: {error.text}</p>)}
    </Notice>
  );
}

function ClassList({ id, inventory, chosen }: { id: string; inventory: DeviceInventory; chosen: string }) {
  const navigate = useNavigate();
  const go = (name: string) => void navigate({ to: '/devices/$id/inventory/$class', params: { id, class: name } });
  return (
    <nav className={classes.classes} aria-label={texts.inventory.classes}>
      <select className={classes.select} value={chosen} aria-label={texts.inventory.classes} onChange={(event) => go(event.currentTarget.value)}>
        {inventory.classes.map((c) => <option key={c.class} value={c.class}>{words(c.class)} ({grouped(c.rows)})</option>)}
      </select>
      <ul className={classes.list}>
        {inventory.classes.map((c) => (
          <li key={c.class}>
            <Link
              to="/devices/$id/inventory/$class" params={{ id, class: c.class }} className={classes.class}
              {...(c.class === chosen ? { 'aria-current': 'page', 'data-chosen': true } : {})}
            >
              <span>{words(c.class)}</span>
              <span className={classes.rows}>{grouped(c.rows)}</span>
            </Link>
          </li>
        ))}
      </ul>
      <p className={classes.reported}>{texts.inventory.reported('')}<Time value={inventory.received_at} /></p>
    </nav>
  );
}
