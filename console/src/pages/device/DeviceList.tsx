import { Link, useNavigate, useSearch } from '@tanstack/react-router';

import type { Device } from '../../api/schema';
import { ApiList, type ListColumn } from '../../components/ApiList';
import { Empty } from '../../components/Notice';
import { Page } from '../../components/Page';
import { ActivityMark } from '../../components/StateMark';
import { Time } from '../../components/Time';
import { Views } from '../../components/Views';
import type { Condition } from '../../lib/filter';
import type { ListSearch } from '../../lib/listSearch';
import { texts } from '../../lib/texts';
import classes from './DeviceList.module.css';

const columns: ListColumn<Device>[] = [
  {
    id: 'name', header: texts.device.name, sortable: true, grow: true, filter: { kind: 'text' },
    render: (d) => <Link to="/devices/$id" params={{ id: d.id }} className={`link ${classes.name}`} title={d.name}>{d.name}</Link>,
  },
  {
    id: 'blocked', header: texts.device.state, sortable: true, filter: { kind: 'choice', options: texts.device.blockedChoices },
    render: (d) => <ActivityMark activity={d.activity} label={texts.device.activity[d.activity] ?? d.activity} />,
  },
  { id: 'seen_at', header: texts.device.seen, sortable: true, filter: { kind: 'age' }, render: (d) => <Time value={d.seen_at} absent={texts.device.neverSeen} /> },
  { id: 'os', header: texts.device.os, sortable: true, filter: { kind: 'text' }, render: (d) => <>{d.os} <span className="dim">{d.os_version}</span></> },
  { id: 'arch', header: texts.device.arch, sortable: true, minor: 'wide', filter: { kind: 'text' }, render: (d) => d.arch },
  { id: 'client_version', header: texts.device.client, sortable: true, minor: true, filter: { kind: 'text' }, render: (d) => <span className="nowrap">{d.client_version}</span> },
  { id: 'addresses', header: texts.device.addresses, minor: true, filter: { kind: 'text' }, render: (d) => <Addresses list={d.addresses} /> },
  { id: 'inventory_at', header: texts.device.inventoryAt, sortable: true, minor: 'wide', filter: { kind: 'age' }, render: (d) => <Time value={d.inventory_at} absent={texts.device.noInventory} /> },
];

function Addresses({ list }: { list: string[] }) {
  if (list.length === 0) return null;
  const rest = list.length > 1 ? ` +${list.length - 1}` : '';
  return <span className="nowrap" title={list.join('\n')}>{list[0]}<span className="dim">{rest}</span></span>;
}

const condition = (column: string, operator: Condition['operator'], value: string): Condition => ({ column, operator, values: [value] });
const notBlocked = condition('blocked', '=', 'false');
const neverSeen = '1970-01-01';

/** The activities, as conditions: heard of within 48 hours is active. */
const views: Record<string, Condition[]> = {
  active: [notBlocked, condition('seen_at', '>=', '48h')],
  inactive: [notBlocked, condition('seen_at', '<', '48h'), condition('seen_at', '>', neverSeen)],
  never: [notBlocked, condition('seen_at', '<=', neverSeen)],
  blocked: [condition('blocked', '=', 'true')],
};

/** All devices, by page, order and filter of the provider. */
export function DeviceList() {
  const { view = 'all' } = useSearch({ from: '/shell/devices' });
  const navigate = useNavigate();
  const setView = (next: string) =>
    void navigate({ to: '/devices', search: ({ view: _, ...rest }: ListSearch) => (next === 'all' ? rest : { ...rest, view: next }), replace: true });
  return (
    <Page title={texts.device.title}>
      <ApiList
        path="/devices" label={texts.device.title} columns={columns} rowKey={(d) => d.id} searchColumn="name"
        defaultSort={{ column: 'name', descending: false }} view={views[view] ?? []}
        toolbar={
          <Views
            label={texts.device.state} value={views[view] ? view : 'all'} onChange={setView}
            choices={{ all: texts.device.all, ...Object.fromEntries(Object.keys(views).map((value) => [value, texts.device.activity[value] ?? value])) }}
          />
        }
        empty={view === 'all'
          ? <Empty icon="device" title={texts.device.none} text={texts.device.noneText} command={texts.device.noneCommand} />
          : <Empty icon="device" title={texts.list.none} />}
      />
    </Page>
  );
}
