import { useSyncExternalStore } from 'react';

import { siteNow } from '../lib/clock';

const period = 5000;
const listeners = new Set<() => void>();
let now = siteNow();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = siteNow();
    listeners.forEach((tell) => tell());
  }, period);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The time by the site's clock, every five seconds: one timer for all that shows ages. */
export function useNow(): Date {
  return useSyncExternalStore(subscribe, () => {
    const fresh = siteNow();
    // A component that was just shown must not begin with an old time, and the
    // snapshot must be the same object as long as nothing is to be drawn.
    if (Math.abs(fresh.getTime() - now.getTime()) > period + 1000) now = fresh;
    return now;
  });
}
