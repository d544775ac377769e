import { Link, type LinkProps } from '@tanstack/react-router';

import classes from './LinkTabs.module.css';

interface Tab {
  to: NonNullable<LinkProps['to']>;
  text: string;
  /** Pages below it do not count as it. */
  exact?: boolean;
}

/** The views of one thing. Each has an address, so they are links. */
export function LinkTabs({ label, tabs, params }: { label: string; tabs: readonly Tab[]; params: Record<string, string> }) {
  return (
    <nav aria-label={label} className={classes.tabs}>
      {tabs.map((tab) => (
        <Link key={tab.to} to={tab.to} params={params as never} activeOptions={{ exact: tab.exact ?? false, includeSearch: false }} className={classes.tab}>
          {tab.text}
        </Link>
      ))}
    </nav>
  );
}
