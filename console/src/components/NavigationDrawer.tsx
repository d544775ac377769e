import { ActionIcon } from '@mantine/core';
import { type ReactNode, useEffect, useRef } from 'react';

import { texts } from '../lib/texts';
import { Icon } from './Icon';
import classes from './NavigationDrawer.module.css';

interface Props {
  opened: boolean;
  onClose: () => void;
  children: ReactNode;
}

/** The navigation over the page, where the window has no room beside it. The browser's own dialog keeps the focus in it. */
export function NavigationDrawer({ opened, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (opened) dialog.current?.showModal();
    else dialog.current?.close();
  }, [opened]);
  return (
    <dialog
      ref={dialog} className={classes.drawer} aria-label={texts.shell.navigation} onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className={classes.content}>
        <ActionIcon className={classes.close} variant="subtle" color="gray" aria-label={texts.shell.closeNavigation} onClick={onClose}><Icon name="close" /></ActionIcon>
        {children}
      </div>
    </dialog>
  );
}
