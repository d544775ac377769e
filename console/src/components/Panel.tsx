import { type ReactNode, useId } from 'react';

import classes from './Panel.module.css';

interface Props {
  title?: string;
  /** Stands at the right of the title. */
  aside?: ReactNode;
  children: ReactNode;
  /** Without air at the edges, for tables. */
  flush?: boolean;
}

/** A part of a page with a heading. */
export function Panel({ title, aside, children, flush = false }: Props) {
  const id = useId();
  return (
    <section className={classes.panel} aria-labelledby={title ? id : undefined}>
      {title && (
        <header className={classes.header}>
          <h2 id={id}>{title}</h2>
          {aside && <div className={classes.aside}>{aside}</div>}
        </header>
      )}
      <div className={flush ? undefined : classes.body}>{children}</div>
    </section>
  );
}
