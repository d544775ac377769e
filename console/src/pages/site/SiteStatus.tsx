import { Skeleton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import type { Component, Finding, SiteSystem, SiteStatus as Status } from '../../api/schema';
import { type Column, DataTable } from '../../components/DataTable';
import { Empty, ErrorNotice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { Panel } from '../../components/Panel';
import { RoleMark, StateMark, type Tone } from '../../components/StateMark';
import { Time } from '../../components/Time';
import { Icon, type IconName } from '../../components/Icon';
import { useApi } from '../../hooks/useApi';
import { useNow } from '../../hooks/useNow';
import { ago, bytes, grouped, span } from '../../lib/format';
import { texts } from '../../lib/texts';
import classes from './SiteStatus.module.css';

/** Nobody announces that a time has passed, such as that of a component that is late. */
const every = 15_000;

const looks: Record<Status['state'], { tone: Tone; icon: IconName }> = {
  ok: { tone: 'good', icon: 'good' },
  warning: { tone: 'warning', icon: 'warning' },
  critical: { tone: 'bad', icon: 'bad' },
};

/** How the site is: what needs somebody, devices, the path of messages, roles and components. */
export function SiteStatus() {
  const site = useApi('/site', {}, { every });
  const status = site.data;
  return (
    <Page
      title={texts.site.title}
      beside={status && <StateMark {...looks[status.state]} filled>{texts.site.overall[status.state] ?? status.state}</StateMark>}
      below={status && <>{status.name !== status.site_code && `${status.name} · `}{texts.shell.site(status.site_code)} · {texts.site.created.toLowerCase()} <Time value={status.created_at} /></>}
    >
      {site.error && <ErrorNotice error={site.error} onRetry={() => void site.refetch()} />}
      {!status && !site.error && <Skeletons />}
      {status && (
        <>
          {status.findings.length > 0 && <Findings findings={status.findings} />}
          <Figures status={status} />
          <Systems systems={status.systems} />
          <Components components={status.components} systems={status.systems} />
        </>
      )}
    </Page>
  );
}

function Skeletons() {
  return (
    <>
      <div className={classes.figures}>{[0, 1, 2].map((i) => <Skeleton key={i} height={132} radius="md" />)}</div>
      <Skeleton height={180} radius="md" />
      <Skeleton height={260} radius="md" />
    </>
  );
}

function Findings({ findings }: { findings: Finding[] }) {
  return (
    <Panel title={texts.site.findings} aside={texts.site.findingsCount(findings.length)}>
      <ul className={classes.findings}>
        {findings.map((finding) => (
          <li key={`${finding.id} ${finding.subject}`} data-severity={finding.severity}>
            <Icon name={finding.severity === 'critical' ? 'bad' : 'warning'} size={20} label={texts.severities[finding.severity] ?? finding.severity} />
            <div>
              <p className={classes.findingHead}>
                <strong>{finding.subject}</strong>
                <span className="dim"><Time value={finding.since} /></span>
              </p>
              <p>{finding.why}</p>
              <p className={classes.remedy}><span>{texts.site.remedy}</span> {finding.remedy}</p>
            </div>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Figures({ status }: { status: Status }) {
  const now = useNow();
  const { devices, inbox, database } = status;
  return (
    <div className={classes.figures}>
      <Panel title={texts.site.devices} aside={<Link to="/devices" className="link">{grouped(devices.total)}</Link>}>
        <DeviceBar devices={devices} />
        <dl className={classes.legend}>
          <Count name={texts.site.active} value={devices.active} tone="good" view="active" help={texts.site.activeHelp} />
          <Count name={texts.site.inactive} value={devices.inactive} tone="warning" view="inactive" />
          <Count name={texts.site.never} value={devices.never} tone="quiet" view="never" />
          <Count name={texts.site.blocked} value={devices.blocked} tone="bad" view="blocked" />
        </dl>
        {(devices.conflicts > 0 || devices.pending_registrations > 0) && (
          <p className={classes.extra}>
            {devices.conflicts > 0 && <Link to="/devices" search={{ filter: 'conflict!=""' }} className="link" title={texts.site.conflictsHelp}>{grouped(devices.conflicts)} {texts.site.conflicts.toLowerCase()}</Link>}
            {devices.pending_registrations > 0 && <Link to="/registrations" className="link">{grouped(devices.pending_registrations)} {texts.site.pending.toLowerCase()}</Link>}
          </p>
        )}
      </Panel>
      <Panel title={texts.site.inbox}>
        <div className={classes.pair}>
          <Figure
            value={grouped(inbox.waiting)} name={texts.site.waiting}
            detail={inbox.oldest_at ? texts.site.oldest(ago(new Date(inbox.oldest_at), now)) : texts.site.inboxEmpty}
          />
          <Figure value={grouped(inbox.dead_letters)} name={texts.site.deadLetters} detail={texts.site.deadLettersHelp} bad={inbox.dead_letters > 0} />
        </div>
      </Panel>
      <Panel title={texts.site.database} aside={`${database.engine} ${database.version}`}>
        <Figure value={bytes(database.size + database.log)} name={texts.site.databaseSize} detail={database.free > 0 ? texts.site.databaseFree(bytes(database.free)) : ''} />
      </Panel>
    </div>
  );
}

function Figure({ value, name, detail, bad }: { value: string; name: string; detail: ReactNode; bad?: boolean }) {
  return (
    <div className={classes.figure} data-bad={bad || undefined}>
      <span className={classes.value}>{value}</span>
      <span>{name}</span>
      <span className={classes.detail}>{detail}</span>
    </div>
  );
}

function Count({ name, value, tone, view, help }: { name: string; value: number; tone: Tone; view: string; help?: string }) {
  return (
    <div title={help}>
      <dt><span className={classes.key} data-tone={tone} />{name}</dt>
      <dd>{value > 0 ? <Link to="/devices" search={{ view }} className="link">{grouped(value)}</Link> : '0'}</dd>
    </div>
  );
}

function DeviceBar({ devices }: { devices: Status['devices'] }) {
  const parts = [
    ['good', devices.active], ['warning', devices.inactive], ['quiet', devices.never], ['bad', devices.blocked],
  ] as const;
  return (
    <div className={classes.bar} aria-hidden>
      {parts.filter(([, value]) => value > 0).map(([tone, value]) => <span key={tone} data-tone={tone} style={{ flexGrow: value }} />)}
    </div>
  );
}

interface RoleRow {
  system: SiteSystem;
  role: SiteSystem['roles'][number];
  first: boolean;
}

const roleColumns: Column<RoleRow>[] = [
  {
    id: 'system', header: texts.site.system,
    render: ({ system, first }) => first && (
      <div>
        <strong className={classes.systemName}>{system.name}</strong>
        <div className={classes.detail}>{system.address !== system.name && `${system.address}, `}{texts.site.ports(system.client_port, system.admin_port)}</div>
      </div>
    ),
  },
  { id: 'role', header: texts.site.role, render: ({ role }) => <span className={classes.capital}>{role.role}</span> },
  { id: 'state', header: texts.site.state, render: ({ role }) => <RoleMark state={role.state} label={texts.states[role.state] ?? role.state} /> },
  { id: 'since', header: texts.site.sinceColumn, render: ({ role }) => <Time value={role.state_since} /> },
  { id: 'why', header: texts.site.why, grow: true, render: ({ role }) => role.detail },
];

function Systems({ systems }: { systems: SiteSystem[] }) {
  const rows = systems.flatMap((system) => system.roles.map((role, i) => ({ system, role, first: i === 0 })));
  return (
    <Panel title={texts.site.systems} flush>
      {rows.length === 0
        ? <Empty icon="site" title={texts.site.noSystems} text={texts.site.noSystemsText} />
        : <DataTable label={texts.site.systems} columns={roleColumns} rows={rows} rowKey={(row) => `${row.system.id} ${row.role.role}`} />}
    </Panel>
  );
}

function Components({ components, systems }: { components: Component[]; systems: SiteSystem[] }) {
  const names = new Map(systems.map((system) => [system.id, system.name]));
  const columns: Column<Component>[] = [
    { id: 'name', header: texts.site.component, render: (c) => <strong className={classes.systemName}>{c.name}</strong> },
    ...(systems.length > 1 ? [{ id: 'system', header: texts.site.system, render: (c: Component) => names.get(c.system) ?? c.system }] : []),
    { id: 'state', header: texts.site.state, render: (c) => <RoleMark state={c.state} label={texts.states[c.state] ?? c.state} /> },
    { id: 'since', header: texts.site.sinceColumn, render: (c) => <Time value={c.state_since} /> },
    { id: 'pass', header: texts.site.lastPass, minor: true, render: (c) => <Time value={c.pass_at} /> },
    { id: 'took', header: texts.site.took, align: 'right', minor: true, render: (c) => <span className="nowrap">{span(c.pass_ms)}</span> },
    { id: 'passes', header: texts.site.passes, align: 'right', minor: true, render: (c) => grouped(c.passes) },
    { id: 'failures', header: texts.site.failures, align: 'right', minor: true, render: (c) => grouped(c.failures) },
    { id: 'why', header: texts.site.why, grow: true, render: (c) => c.detail },
  ];
  return (
    <Panel title={texts.site.components} flush>
      {components.length === 0
        ? <Empty icon="silent" title={texts.site.noComponents} text={texts.site.noComponentsText} />
        : <DataTable label={texts.site.components} columns={columns} rows={components} rowKey={(c) => `${c.system} ${c.name}`} />}
    </Panel>
  );
}
