import { Button, Skeleton } from '@mantine/core';
import { Link, Outlet, useParams } from '@tanstack/react-router';
import { useState } from 'react';

import type { Device as DeviceData } from '../../api/schema';
import { Icon } from '../../components/Icon';
import { ErrorNotice, Notice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { ReasonDialog } from '../../components/ReasonDialog';
import { ActivityMark } from '../../components/StateMark';
import { LinkTabs } from '../../components/LinkTabs';
import { Time } from '../../components/Time';
import { useApi, useSend } from '../../hooks/useApi';
import { useMay } from '../../hooks/useMe';
import { texts } from '../../lib/texts';

const tabs = [
  { to: '/devices/$id', text: texts.device.tabs.summary, exact: true },
  { to: '/devices/$id/inventory', text: texts.device.tabs.inventory },
  { to: '/devices/$id/history', text: texts.device.tabs.history },
  { to: '/devices/$id/state-messages', text: texts.device.tabs.states },
  { to: '/devices/$id/client-settings', text: texts.device.tabs.settings },
] as const;

/** One device: what is above all its views. */
export function Device() {
  const { id } = useParams({ from: '/shell/devices/$id' });
  const device = useApi('/devices/{id}', { path: { id } });
  const back = <Link to="/devices" className="link">{texts.device.title}</Link>;
  if (!device.data) {
    return (
      <Page title={device.error ? texts.device.one : '…'} windowTitle={texts.device.one} above={back}>
        {device.error ? <ErrorNotice error={device.error} onRetry={() => void device.refetch()} /> : <Skeleton height={280} radius="md" />}
      </Page>
    );
  }
  const d = device.data;
  return (
    <Page
      title={d.name} above={back} beside={<ActivityMark activity={d.activity} label={texts.device.activity[d.activity] ?? d.activity} filled />}
      below={<>{[d.os, d.os_version, d.arch].filter(Boolean).join(' · ')} · {texts.device.seen.toLowerCase()} <Time value={d.seen_at} absent={texts.device.neverSeen} /></>}
      actions={<BlockButton device={d} />}
    >
      {device.error && <ErrorNotice error={device.error} onRetry={() => void device.refetch()} />}
      <Warnings device={d} />
      <LinkTabs label={texts.device.tabsLabel} tabs={tabs} params={{ id }} />
      <Outlet />
    </Page>
  );
}

function Warnings({ device }: { device: DeviceData }) {
  return (
    <>
      {device.blocked_at && (
        <Notice tone="bad" icon="blocked" title={texts.device.blockedNotice}>
          <p>{device.blocked_reason} <span className="dim">· <Time value={device.blocked_at} /></span></p>
        </Notice>
      )}
      {device.conflict && <Notice tone="warning" icon="warning" title={texts.device.conflictNotice}><p>{device.conflict}</p></Notice>}
      {device.copy_of && (
        <Notice tone="warning" icon="warning" title={texts.device.copyNotice}>
          <p>{texts.device.copyText} <Link to="/devices/$id" params={{ id: device.copy_of }} className="link mono">{device.copy_of}</Link></p>
        </Notice>
      )}
    </>
  );
}

function BlockButton({ device }: { device: DeviceData }) {
  const may = useMay();
  const [opened, setOpened] = useState(false);
  const block = useSend('post', '/devices/{id}/block');
  const unblock = useSend('post', '/devices/{id}/unblock');
  if (!may('Device.Modify')) return null;
  const blocked = device.blocked_at !== undefined;
  const action = blocked ? unblock : block;
  const close = () => setOpened(false);
  const open = () => {
    block.reset();
    unblock.reset();
    setOpened(true);
  };
  const path = { id: device.id };
  const confirm = (reason: string) =>
    blocked ? unblock.mutate({ path }, { onSuccess: close }) : block.mutate({ path, body: { reason } }, { onSuccess: close });
  return (
    <>
      <Button variant="default" size="xs" leftSection={<Icon name={blocked ? 'good' : 'blocked'} size={15} />} onClick={open}>
        {blocked ? texts.device.unblock : texts.device.block}
      </Button>
      <ReasonDialog
        opened={opened} onClose={close} busy={action.isPending} error={action.error} onConfirm={confirm}
        title={blocked ? texts.device.unblockTitle(device.name) : texts.device.blockTitle(device.name)}
        action={blocked ? texts.device.unblock : texts.device.block} dangerous={!blocked}
        {...(blocked ? {} : { reason: { label: texts.device.blockReason, help: texts.device.blockReasonHelp, missing: texts.device.blockReasonMissing } })}
      >
        {blocked ? texts.device.unblockText : texts.device.blockText}
      </ReasonDialog>
    </>
  );
}
