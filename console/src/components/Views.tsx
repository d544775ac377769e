import { SegmentedControl } from '@mantine/core';

import classes from './Views.module.css';

interface Props {
  label: string;
  value: string;
  /** Names of the views by their value. */
  choices: Record<string, string>;
  onChange: (value: string) => void;
}

/** The choice between the views of a list; it scrolls where the window is narrower. */
export function Views({ label, value, choices, onChange }: Props) {
  return (
    <div className={classes.views}>
      <SegmentedControl
        size="xs" value={value} onChange={onChange} aria-label={label} withItemsBorders={false}
        data={Object.entries(choices).map(([choice, text]) => ({ value: choice, label: text }))}
      />
    </div>
  );
}
