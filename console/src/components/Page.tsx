import type { ReactNode } from 'react';

import { useTitle } from '../hooks/useTitle';
import classes from './Page.module.css';

interface Props {
  title: string;
  /** The title of the window where it differs. */
  windowTitle?: string;
  /** Above the title, such as the way back. */
  above?: ReactNode;
  /** Beside the title, such as a state. */
  beside?: ReactNode;
  /** Below the title in small letters. */
  below?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A page: title, actions, content. */
export function Page({ title, windowTitle, above, beside, below, actions, children }: Props) {
  useTitle(windowTitle ?? title);
  return (
    <div className={classes.page}>
      <header className={classes.header}>
        <div className={classes.heading}>
          {above && <div className={classes.above}>{above}</div>}
          <div className={classes.line}>
            <h1>{title}</h1>
            {beside}
          </div>
          {below && <div className={classes.below}>{below}</div>}
        </div>
        {actions && <div className={classes.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}
