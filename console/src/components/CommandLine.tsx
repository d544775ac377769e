import classes from './CommandLine.module.css';
import { CopyButton } from './CopyButton';

/** A command to paste into a shell. */
export function CommandLine({ command }: { command: string }) {
  return (
    <span className={classes.line}>
      <code>{command}</code>
      <CopyButton value={command} what={command} />
    </span>
  );
}
