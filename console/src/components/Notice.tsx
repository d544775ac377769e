import { Button, Code } from '@mantine/core';
import type { ReactNode } from 'react';

import { asProblem } from '../lib/problem';
import { texts } from '../lib/texts';
import { CommandLine } from './CommandLine';
import { Icon, type IconName } from './Icon';
import classes from './Notice.module.css';
import type { Tone } from './StateMark';

interface NoticeProps {
  tone: Tone;
  icon: IconName;
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
}

/** Something that the reader should know before the rest of the page. */
export function Notice({ tone, icon, title, children, actions }: NoticeProps) {
  return (
    <div className={classes.notice} data-tone={tone} role={tone === 'bad' ? 'alert' : 'note'}>
      <Icon name={icon} size={20} />
      <div className={classes.body}>
        <strong>{title}</strong>
        {children && <div className={classes.text}>{children}</div>}
      </div>
      {actions && <div className={classes.actions}>{actions}</div>}
    </div>
  );
}

/** An error with what to do about it. */
export function ErrorNotice({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = asProblem(error);
  const remedy = texts.problem.remedies[problem.code];
  return (
    <Notice
      tone="bad" icon="bad" title={problem.title}
      actions={onRetry && <Button variant="default" size="xs" onClick={onRetry}>{texts.problem.again}</Button>}
    >
      {problem.message !== problem.title && <p>{problem.message}</p>}
      {problem.retryAfter ? <p>{texts.problem.waits(problem.retryAfter)}</p> : remedy && <p>{remedy}</p>}
      {problem.request && <p>{texts.problem.request} <Code>{problem.request}</Code></p>}
    </Notice>
  );
}

interface EmptyProps {
  icon?: IconName;
  title: string;
  text?: string;
  /** A command that would fill what is empty. */
  command?: string;
  actions?: ReactNode;
}

/** What stands where there is nothing, and how something would come here. */
export function Empty({ icon = 'none', title, text, command, actions }: EmptyProps) {
  return (
    <div className={classes.empty}>
      <span className={classes.emptyIcon}><Icon name={icon} size={28} /></span>
      <p className={classes.emptyTitle}>{title}</p>
      {text && <p className={classes.emptyText}>{text}</p>}
      {command && <CommandLine command={command} />}
      {actions}
    </div>
  );
}
