import type { ReactNode } from 'react';

import { texts } from '../lib/texts';
import { CopyButton } from './CopyButton';
import classes from './Properties.module.css';

export interface Property {
  name: string;
  value: ReactNode;
  /** What it means, for whoever points at the name. */
  help?: string;
  /** The text to copy, for identifiers. */
  copy?: string;
}

/** Names and values, one pair a line. */
export function Properties({ items, wide = false }: { items: Property[]; wide?: boolean }) {
  return (
    <dl className={classes.list} data-wide={wide || undefined}>
      {items.map(({ name, value, help, copy }) => (
        <div key={name} className={classes.item}>
          <dt title={help}>{name}</dt>
          <dd>
            {value === undefined || value === null || value === '' ? <span className="dim">{texts.unknown}</span> : value}
            {copy && <CopyButton value={copy} what={name} />}
          </dd>
        </div>
      ))}
    </dl>
  );
}
