import { Button, Group, Modal, Stack, Text, Textarea } from '@mantine/core';
import { type ReactNode, useState } from 'react';

import type { Problem } from '../lib/problem';
import { texts } from '../lib/texts';
import { ErrorNotice } from './Notice';
import classes from './ReasonDialog.module.css';

/** The longest reason that the API takes, in bytes. */
const longest = 500;

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  action: string;
  /** Colour of the action's button where it takes something away. */
  dangerous?: boolean;
  /** What is asked for; absent where no reason is needed. */
  reason?: { label: string; help: string; missing: string };
  busy: boolean;
  error: Problem | null;
  onConfirm: (reason: string) => void;
}

/** Asks whether to do something, and why. */
export function ReasonDialog(props: Props) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={props.title} classNames={{ title: classes.title }} closeButtonProps={{ 'aria-label': texts.dialog.close }}>
      <ReasonForm {...props} />
    </Modal>
  );
}

/** Lives as long as the dialog is open, so that each opening begins anew. */
function ReasonForm({ children, action, dangerous, reason, busy, error, onConfirm, onClose }: Props) {
  const [text, setText] = useState('');
  const [tried, setTried] = useState(false);
  const trimmed = text.trim();
  const wrong = reason && (trimmed === '' ? reason.missing : new TextEncoder().encode(trimmed).length > longest ? texts.device.blockReasonLong : undefined);
  const refused = error?.field('reason');
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (!wrong && !busy) onConfirm(trimmed);
      }}
    >
      <Stack gap="md">
        <Text component="div" size="sm">{children}</Text>
        {reason && (
          <Textarea
            data-autofocus required label={reason.label} description={reason.help} autosize minRows={2} maxRows={6}
            value={text} onChange={(event) => setText(event.currentTarget.value)} error={(tried && wrong) || refused}
          />
        )}
        {error && !refused && <ErrorNotice error={error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose}>{texts.dialog.cancel}</Button>
          <Button type="submit" loading={busy} {...(dangerous ? { color: 'red' } : {})} {...(reason ? {} : { 'data-autofocus': true })}>{action}</Button>
        </Group>
      </Stack>
    </form>
  );
}
