import { Icon, type IconName } from './Icon';
import classes from './StateMark.module.css';

/** How something is: the colour of its mark. */
export type Tone = 'good' | 'warning' | 'bad' | 'quiet';

interface Props {
  tone: Tone;
  icon: IconName;
  children: string;
  /** With a coloured ground, for the one state that a page is about. */
  filled?: boolean;
}

/** A state in words, with a mark that differs in form and colour. */
export function StateMark({ tone, icon, children, filled = false }: Props) {
  return (
    <span className={classes.mark} data-tone={tone} data-filled={filled || undefined}>
      <Icon name={icon} size={16} />
      <span>{children}</span>
    </span>
  );
}

const activityLook: Record<string, { tone: Tone; icon: IconName }> = {
  active: { tone: 'good', icon: 'good' },
  inactive: { tone: 'warning', icon: 'silent' },
  never: { tone: 'quiet', icon: 'unknown' },
  blocked: { tone: 'bad', icon: 'blocked' },
};

const stateLook: Record<string, { tone: Tone; icon: IconName }> = {
  OK: { tone: 'good', icon: 'good' },
  Stopped: { tone: 'quiet', icon: 'unknown' },
  Failed: { tone: 'bad', icon: 'bad' },
};

const unknownLook = { tone: 'quiet', icon: 'unknown' } as const;

/** The activity of a device. */
export function ActivityMark({ activity, label, filled }: { activity: string; label: string; filled?: boolean }) {
  return <StateMark {...(activityLook[activity] ?? unknownLook)} {...(filled ? { filled } : {})}>{label}</StateMark>;
}

/** The state of a role or a component. */
export function RoleMark({ state, label }: { state: string; label: string }) {
  return <StateMark {...(stateLook[state] ?? { tone: 'warning', icon: 'warning' })}>{label}</StateMark>;
}
