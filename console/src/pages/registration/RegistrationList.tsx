import { Button, Group } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import type { Registration } from '../../api/schema';
import { ApiList, type ListColumn } from '../../components/ApiList';
import { CommandLine } from '../../components/CommandLine';
import { CopyButton } from '../../components/CopyButton';
import { Empty } from '../../components/Notice';
import { Page } from '../../components/Page';
import { ReasonDialog } from '../../components/ReasonDialog';
import { StateMark, type Tone } from '../../components/StateMark';
import { Time } from '../../components/Time';
import { Views } from '../../components/Views';
import type { IconName } from '../../components/Icon';
import { useSend } from '../../hooks/useApi';
import { useMay } from '../../hooks/useMe';
import type { Condition } from '../../lib/filter';
import type { ListSearch } from '../../lib/listSearch';
import { texts } from '../../lib/texts';
import classes from './RegistrationList.module.css';

const looks: Record<Registration['state'], { tone: Tone; icon: IconName }> = {
  waiting: { tone: 'quiet', icon: 'silent' },
  pending: { tone: 'warning', icon: 'silent' },
  approved: { tone: 'good', icon: 'good' },
  done: { tone: 'good', icon: 'good' },
  refused: { tone: 'bad', icon: 'bad' },
};

const pendingOnly: Condition[] = [{ column: 'state', operator: '=', values: ['pending'] }];

type Decision = { verb: 'approve' | 'deny'; registration: Registration };

/** Machines that ask to become devices, and what became of them. */
export function RegistrationList() {
  const { view } = useSearch({ from: '/shell/registrations' });
  const navigate = useNavigate();
  const may = useMay();
  const [decision, setDecision] = useState<Decision>();
  const all = view === 'all';
  const decide = may('Registration.Approve') ? setDecision : undefined;
  return (
    <Page title={texts.registration.title}>
      <ApiList
        path="/registrations" label={texts.registration.title} columns={columnsFor(all, decide)} rowKey={(r) => r.id}
        defaultSort={{ column: 'received_at', descending: true }} view={all ? [] : pendingOnly}
        toolbar={
          <Views
            label={texts.registration.state} value={all ? 'all' : 'pending'} choices={texts.registration.views}
            onChange={(next) => void navigate({ to: '/registrations', search: ({ view: _, ...rest }: ListSearch) => (next === 'all' ? { ...rest, view: 'all' } : rest), replace: true })}
          />
        }
        empty={all
          ? <Empty icon="registration" title={texts.registration.noneAll} text={texts.registration.noneAllText} />
          : <Empty icon="registration" title={texts.registration.none} text={texts.registration.noneText} />}
      />
      <DecisionDialog decision={decision} onClose={() => setDecision(undefined)} />
    </Page>
  );
}

function columnsFor(all: boolean, decide: ((decision: Decision) => void) | undefined): ListColumn<Registration>[] {
  return [
    {
      id: 'name', header: texts.registration.name, grow: true,
      render: (r) => (
        <>
          {r.device ? <Link to="/devices/$id" params={{ id: r.device }} className="link">{r.name || r.device}</Link> : <strong className={classes.name}>{r.name || texts.unknown}</strong>}
          {r.copy_of && <div className={classes.warning}>{texts.registration.copyOf}</div>}
          {all && r.kind === 'renew' && <div className={classes.small}>{texts.registration.kinds.renew}</div>}
        </>
      ),
    },
    ...(all
      ? [{
          id: 'state', header: texts.registration.state, sortable: true, filter: { kind: 'choice' as const, options: texts.registration.states },
          render: (r: Registration) => (
            <>
              <StateMark {...looks[r.state]}>{texts.registration.states[r.state] ?? r.state}</StateMark>
              {r.detail && <div className={classes.small}>{r.detail}</div>}
            </>
          ),
        }]
      : []),
    { id: 'received_at', header: texts.registration.received, sortable: true, filter: { kind: 'age' }, render: (r) => <Time value={r.received_at} /> },
    { id: 'source', header: texts.registration.source, sortable: true, filter: { kind: 'text' }, render: (r) => r.source },
    { id: 'os', header: texts.registration.os, minor: true, render: (r) => <span className="nowrap">{[r.os, r.arch].filter(Boolean).join(' · ')}</span> },
    { id: 'client', header: texts.registration.client, minor: true, render: (r) => r.client_version },
    { id: 'fingerprint', header: texts.registration.fingerprint, minor: true, render: (r) => <Fingerprint value={r.id} /> },
    ...(decide && !all
      ? [{
          id: 'decide', header: '',
          render: (r: Registration) => r.state === 'pending' && (
            <Group gap={6} wrap="nowrap" justify="flex-end">
              <Button size="compact-xs" onClick={() => decide({ verb: 'approve', registration: r })}>{texts.registration.approve}</Button>
              <Button size="compact-xs" variant="default" onClick={() => decide({ verb: 'deny', registration: r })}>{texts.registration.deny}</Button>
            </Group>
          ),
        }]
      : []),
  ];
}

function Fingerprint({ value }: { value: string }) {
  return (
    <span className={classes.fingerprint}>
      <span className="mono" title={value}>{value.slice(0, 16)}…</span>
      <CopyButton value={value} what={texts.registration.fingerprint} />
    </span>
  );
}

function DecisionDialog({ decision, onClose }: { decision: Decision | undefined; onClose: () => void }) {
  const approve = useSend('post', '/registrations/{id}/approve');
  const deny = useSend('post', '/registrations/{id}/deny');
  const close = () => {
    approve.reset();
    deny.reset();
    onClose();
  };
  const denying = decision?.verb === 'deny';
  const registration = decision?.registration;
  const action = denying ? deny : approve;
  const name = registration?.name || texts.unknown;
  const confirm = (reason: string) => {
    if (!registration) return;
    const path = { id: registration.id };
    if (denying) deny.mutate({ path, body: { reason } }, { onSuccess: close });
    else approve.mutate({ path }, { onSuccess: close });
  };
  return (
    <ReasonDialog
      opened={decision !== undefined} onClose={close} busy={action.isPending} error={action.error} onConfirm={confirm}
      title={denying ? texts.registration.denyTitle(name) : texts.registration.approveTitle(name)}
      action={denying ? texts.registration.deny : texts.registration.approve} dangerous={denying}
      {...(denying ? { reason: { label: texts.registration.reason, help: texts.registration.reasonHelp, missing: texts.registration.reasonMissing } } : {})}
    >
      {denying ? texts.registration.denyText : (
        <div className={classes.check}>
          <span>{texts.registration.approveText}</span>
          <span className="mono">{registration?.id}</span>
          <CommandLine command={texts.registration.approveCommand} />
        </div>
      )}
    </ReasonDialog>
  );
}
