import { useQueryClient } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useState, useSyncExternalStore } from 'react';

import { eventsAddress } from '../api/client';
import { touched } from '../api/topics';
import { LiveEvents, type LiveState, type Stream } from '../lib/live';

/** Opens the one stream of events while the caller is shown, and reads again what changed. */
export function useLiveEvents(): LiveEvents {
  const queries = useQueryClient();
  const [live] = useState(
    () =>
      new LiveEvents({
        open: () => new EventSource(eventsAddress) as Stream,
        onChange: (topics) =>
          void queries.invalidateQueries(topics ? { predicate: ({ queryKey }) => touched(queryKey[0], topics) } : undefined),
        // When the session has ended, asking for it says so and leads to the sign-in.
        onRefused: () => void queries.invalidateQueries({ queryKey: ['/session'] }),
      }),
  );
  useEffect(() => {
    live.start();
    const hurry = () => live.hurry();
    window.addEventListener('online', hurry);
    return () => {
      window.removeEventListener('online', hurry);
      live.stop();
    };
  }, [live]);
  return live;
}

export const LiveContext = createContext<LiveEvents | undefined>(undefined);

const connecting: LiveState = { kind: 'connecting' };

/** How the stream of events stands, and a way to try it now. */
export function useLiveState(): { state: LiveState; hurry: () => void } {
  const live = useContext(LiveContext);
  const state = useSyncExternalStore(live?.subscribe ?? (() => () => undefined), live?.current ?? (() => connecting));
  return { state, hurry: () => live?.hurry() };
}
