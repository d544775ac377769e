import { useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { Panel } from '../../components/Panel';
import { Properties, type Property } from '../../components/Properties';
import { Time } from '../../components/Time';
import { useApi } from '../../hooks/useApi';
import { bytes, grouped } from '../../lib/format';
import { texts } from '../../lib/texts';
import classes from './Summary.module.css';

/** What one wants to know of a device first. */
export function Summary() {
  const { id } = useParams({ from: '/shell/devices/$id' });
  const device = useApi('/devices/{id}', { path: { id } }).data;
  const glance = useGlance(id);
  if (!device) return null;
  const { hardware } = device;
  const contact: Property[] = [
    { name: texts.device.seen, value: <Time value={device.seen_at} absent={texts.device.neverSeen} /> },
    { name: texts.device.heartbeat, value: <Time value={device.heartbeat_at} /> },
    { name: texts.device.policy, value: <Time value={device.policy_at} /> },
    { name: texts.device.message, value: <Time value={device.message_at} /> },
    { name: texts.device.inventoryAt, value: <Time value={device.inventory_at} absent={texts.device.noInventory} /> },
    { name: texts.device.client, value: device.client_version },
    { name: texts.device.queued, value: grouped(device.queued) },
    { name: texts.device.policyFresh, value: <Time value={device.policy_fresh_until} exact /> },
  ];
  const identity: Property[] = [
    { name: texts.device.id, value: <span className="mono">{device.id}</span>, copy: device.id },
    { name: texts.device.addresses, value: <Lines list={device.addresses} /> },
    { name: texts.device.macs, value: <Lines list={hardware.macs} mono /> },
    { name: texts.device.serial, value: hardware.serial },
    { name: texts.device.productUuid, value: hardware.product_uuid && <span className="mono">{hardware.product_uuid}</span> },
    { name: texts.device.machineId, value: hardware.machine_id && <span className="mono">{hardware.machine_id}</span> },
  ];
  const trust: Property[] = [
    { name: texts.device.registeredAt, value: <Time value={device.registered_at} exact /> },
    { name: texts.device.registeredBy, value: device.registered_by },
    { name: texts.device.certificateEnds, value: <Time value={device.certificate_ends_at} exact /> },
    { name: texts.device.fingerprint, value: <span className="mono">{device.key_fingerprint}</span>, copy: device.key_fingerprint },
  ];
  return (
    <div className={classes.columns}>
      <div>
        {glance.length > 0 && <Panel title={texts.device.atAGlance}><Properties items={glance} /></Panel>}
        <Panel title={texts.device.contact}><Properties items={contact} /></Panel>
      </div>
      <div>
        <Panel title={texts.device.identity}><Properties items={identity} /></Panel>
        <Panel title={texts.device.security}><Properties items={trust} /></Panel>
      </div>
    </div>
  );
}

function Lines({ list, mono }: { list: string[]; mono?: boolean }) {
  if (list.length === 0) return <span className="dim">{texts.unknown}</span>;
  return <span className={mono ? 'mono' : undefined}>{list.map((line) => <span key={line} className={classes.block}>{line}</span>)}</span>;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** The hardware and the system in a few lines, as far as inventory tells. */
function useGlance(id: string): Property[] {
  const rows = (name: string, known: boolean) => ({ path: { id, class: name }, known });
  const inventory = useApi('/devices/{id}/inventory', { path: { id } }).data;
  const has = (name: string) => inventory?.classes.some((c) => c.class === name) ?? false;
  const useRows = (name: string) => {
    const { path, known } = rows(name, has(name));
    return useApi('/devices/{id}/inventory/{class}', { path }, { enabled: known }).data?.items.map((row) => row.values) ?? [];
  };
  const [computer] = useRows('ComputerSystem');
  const [os] = useRows('OS');
  const processors = useRows('Processor');
  const [memory] = useRows('Memory');
  const disks = useRows('LogicalDisk');
  const [virtualization] = useRows('Virtualization');
  const software = inventory?.classes.find((c) => c.class === 'InstalledSoftware')?.rows;

  const items: [string, ReactNode][] = [
    [texts.device.os, text(os?.Caption)],
    [texts.device.kernel, text(os?.Kernel)],
    [texts.device.model, [text(computer?.Manufacturer), text(computer?.Model)].filter(Boolean).join(' ')],
    [texts.device.virtualization, [text(virtualization?.Kind), text(virtualization?.Container) ?? text(virtualization?.Hypervisor)].filter(Boolean).join(', ').replace(/^./, (letter) => letter.toUpperCase())],
    [texts.device.processor, processors[0] && <Processors list={processors} />],
    [texts.device.memory, number(memory?.TotalPhysicalMemory) && bytes(number(memory?.TotalPhysicalMemory)!)],
    [texts.device.disk, disks.length > 0 && <Disks list={disks} />],
    [texts.device.packages, software && texts.device.packagesCount(software)],
    [texts.device.booted, number(os?.LastBootUpTime) && <Time value={new Date(number(os?.LastBootUpTime)! / 1000).toISOString()} />],
  ];
  return items.filter(([, value]) => value).map(([name, value]) => ({ name, value }));
}

function Processors({ list }: { list: Record<string, unknown>[] }) {
  const sum = (column: string) => list.reduce((total, row) => total + (number(row[column]) ?? 0), 0);
  const cores = sum('NumberOfCores');
  return (
    <span>
      {list.length > 1 && `${list.length} × `}{text(list[0]!.Name) ?? text(list[0]!.Manufacturer) ?? texts.unknown}
      {cores > 0 && <span className={`${classes.block} dim`}>{texts.device.cores(cores, sum('NumberOfLogicalProcessors'))}</span>}
    </span>
  );
}

/** The first file systems with a size; the rest is in the inventory. */
const shownDisks = 4;

function Disks({ list }: { list: Record<string, unknown>[] }) {
  const sized = list.filter((disk) => number(disk.Size));
  return (
    <span className={classes.disks}>
      {sized.slice(0, shownDisks).map((disk) => {
        const size = number(disk.Size)!;
        const free = number(disk.FreeSpace);
        const name = String(disk.DeviceID);
        return (
          <span key={name} className={classes.disk}>
            <span className={classes.diskName} title={name}>{name}</span>
            {free !== undefined && <span className={classes.used} aria-hidden><span style={{ width: `${Math.round((1 - free / size) * 100)}%` }} /></span>}
            <span className="dim">{free === undefined ? bytes(size) : texts.device.freeOf(bytes(free), bytes(size))}</span>
          </span>
        );
      })}
      {sized.length > shownDisks && <span className="dim">+{sized.length - shownDisks}</span>}
    </span>
  );
}
