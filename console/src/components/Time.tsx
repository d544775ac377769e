import { Tooltip } from '@mantine/core';

import { useNow } from '../hooks/useNow';
import { ago, dateTime, dateTimeWithZone } from '../lib/format';
import { texts } from '../lib/texts';

interface Props {
  /** A time as the API writes it; absent where it never was. */
  value: string | undefined;
  /** What stands where there is no time. */
  absent?: string;
  /** The time itself instead of its age. */
  exact?: boolean;
}

/** A time as its age, with the time itself for whoever points at it; the age grows by itself. */
export function Time({ value, absent = texts.unknown, exact = false }: Props) {
  const now = useNow();
  if (!value) return <span className="dim">{absent}</span>;
  const time = new Date(value);
  const [shown, hint] = exact ? [dateTime(time), ago(time, now)] : [ago(time, now), dateTimeWithZone(time)];
  return (
    <Tooltip label={hint}>
      <time dateTime={value} className="nowrap">{shown}</time>
    </Tooltip>
  );
}
