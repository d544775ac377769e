import { useParams } from '@tanstack/react-router';

import type { ResultantSetting, SettingDefinition, SettingSource } from '../../api/schema';
import { type Column, DataTable } from '../../components/DataTable';
import { ErrorNotice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { useApi } from '../../hooks/useApi';
import { useMay } from '../../hooks/useMe';
import { duration, words } from '../../lib/format';
import { texts } from '../../lib/texts';
import classes from './ResultantSettings.module.css';

/** The client settings in force on a device, and which client settings they come from. */
export function ResultantSettings() {
  const { id } = useParams({ from: '/shell/devices/$id' });
  const may = useMay();
  const settings = useApi('/devices/{id}/client-settings', { path: { id } });
  const definitions = useApi('/client-setting-definitions', {}, { enabled: may('ClientSetting.Read') });
  if (settings.error && !settings.data) return <ErrorNotice error={settings.error} onRetry={() => void settings.refetch()} />;
  const described = new Map((definitions.data?.items ?? []).map((d) => [d.key, d]));
  const groups = grouped(settings.data?.items ?? []);
  return (
    <>
      <p className={classes.intro}>{texts.settings.intro}</p>
      {!settings.data && <Panel flush><DataTable label={texts.device.tabs.settings} columns={columnsFor(described)} rows={[]} rowKey={() => ''} loading /></Panel>}
      {groups.map(([group, rows]) => (
        <Panel key={group} title={words(group)} flush>
          <DataTable label={words(group)} columns={columnsFor(described)} rows={rows} rowKey={(s) => s.key} />
        </Panel>
      ))}
    </>
  );
}

/** The settings by the first part of their key, in the order in which they come. */
function grouped(settings: ResultantSetting[]): [string, ResultantSetting[]][] {
  const groups = new Map<string, ResultantSetting[]>();
  for (const setting of settings) {
    const group = setting.key.split('.')[0]!;
    groups.set(group, [...(groups.get(group) ?? []), setting]);
  }
  return [...groups];
}

function columnsFor(described: ReadonlyMap<string, SettingDefinition>): Column<ResultantSetting>[] {
  return [
    {
      id: 'setting', header: texts.settings.setting, width: '46%',
      render: (s) => (
        <>
          <div>{words(s.key.split('.').slice(1).join(' '))}</div>
          {described.get(s.key) && <div className={classes.description}>{described.get(s.key)!.description}</div>}
        </>
      ),
    },
    { id: 'value', header: texts.settings.value, width: '18%', render: (s) => <strong className={classes.value}><Value value={s.value} /></strong> },
    { id: 'from', header: texts.settings.from, width: '18%', render: (s) => (s.default ? <span className="dim">{texts.settings.product}</span> : <Sources list={s.from} />) },
    { id: 'overridden', header: texts.settings.overridden, width: '18%', minor: true, render: (s) => <Sources list={s.overridden} /> },
  ];
}

function Value({ value }: { value: unknown }) {
  if (typeof value === 'boolean') return value ? texts.settings.on : texts.settings.off;
  if (typeof value === 'string') return duration(value);
  if (!Array.isArray(value) || value.length === 0) return <span className="dim">{texts.settings.empty}</span>;
  return value.map((item) => <div key={String(item)} className="mono">{String(item)}</div>);
}

function Sources({ list }: { list: SettingSource[] }) {
  return list.map((source) => (
    <div key={source.id}>{source.name} <span className="dim nowrap">{texts.settings.order(source.order)}</span></div>
  ));
}
