import { ActionIcon, Tooltip } from '@mantine/core';
import { useClipboard } from '@mantine/hooks';

import { texts } from '../lib/texts';
import { Icon } from './Icon';

/** Copies a value; what names it for those who cannot see it. */
export function CopyButton({ value, what }: { value: string; what: string }) {
  const clipboard = useClipboard({ timeout: 1500 });
  const label = clipboard.copied ? texts.copy.copied : texts.copy.copy(what);
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" size="sm" aria-label={label} onClick={() => clipboard.copy(value)}>
        <Icon name={clipboard.copied ? 'good' : 'copy'} size={15} />
      </ActionIcon>
    </Tooltip>
  );
}
