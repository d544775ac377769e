import { Button, Popover } from '@mantine/core';

import { useLiveState } from '../hooks/useLive';
import { useNow } from '../hooks/useNow';
import { ago } from '../lib/format';
import { texts } from '../lib/texts';
import classes from './ConnectionState.module.css';

/** Whether changes appear by themselves; points at it for what that means. */
export function ConnectionState() {
  const { state, hurry } = useLiveState();
  const now = useNow();
  const detail = state.kind === 'lost'
    ? texts.live.lostDetail(ago(new Date(state.since), new Date(Math.max(now.getTime(), state.since))))
    : state.kind === 'live' ? texts.live.liveDetail : texts.live.connectingDetail;
  return (
    <Popover position="bottom-end" width={280}>
      <Popover.Target>
        <button type="button" className={classes.state} data-state={state.kind} title={detail}>
          <span className={classes.dot} />
          <span className={classes.text} role="status">{texts.live[state.kind]}</span>
        </button>
      </Popover.Target>
      <Popover.Dropdown>
        <p className={classes.detail}>{detail}</p>
        {state.kind === 'lost' && <Button size="compact-sm" variant="default" onClick={hurry}>{texts.live.again}</Button>}
      </Popover.Dropdown>
    </Popover>
  );
}
