import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { gap, LiveEvents, type Stream } from './live';

class FakeStream implements Stream {
  readyState = 0;
  private readonly listeners: Record<string, ((event: { data?: unknown }) => void)[]> = {};
  addEventListener(type: string, listener: (event: { data?: unknown }) => void) {
    (this.listeners[type] ??= []).push(listener);
  }
  close() {
    this.readyState = 2;
  }
  emit(type: string, data?: unknown) {
    this.listeners[type]?.forEach((listener) => listener({ data }));
  }
  ready() {
    this.readyState = 1;
    this.emit('ready', '{"topics":[]}');
  }
  change(...topics: string[]) {
    this.emit('change', JSON.stringify({ topics }));
  }
  fail(readyState: 0 | 2) {
    this.readyState = readyState;
    this.emit('error');
  }
}

function setup() {
  const streams: FakeStream[] = [];
  const changes: (string[] | 'everything')[] = [];
  const onRefused = vi.fn();
  const live = new LiveEvents({
    open: () => {
      const stream = new FakeStream();
      streams.push(stream);
      return stream;
    },
    onChange: (topics) => changes.push(topics ? [...topics] : 'everything'),
    onRefused,
  });
  live.start();
  return { live, streams, changes, onRefused, newest: () => streams.at(-1)! };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('live events', () => {
  it('are connecting, then live, and read nothing again at first', () => {
    const { live, newest, changes } = setup();
    expect(live.current().kind).toBe('connecting');
    newest().ready();
    expect(live.current().kind).toBe('live');
    expect(changes).toEqual([]);
  });

  it('tell the first change at once and gather those that follow', () => {
    const { newest, changes } = setup();
    newest().ready();
    newest().change('device');
    expect(changes).toEqual([['device']]);
    newest().change('device');
    newest().change('inventory', 'device');
    expect(changes).toHaveLength(1);
    vi.advanceTimersByTime(gap);
    expect(changes).toEqual([['device'], ['device', 'inventory']]);
    vi.advanceTimersByTime(10 * gap);
    expect(changes).toHaveLength(2);
    newest().change('site');
    expect(changes.at(-1)).toEqual(['site']);
  });

  it('read everything again after the browser has reconnected', () => {
    const { live, streams, newest, changes } = setup();
    newest().ready();
    newest().fail(0);
    expect(live.current().kind).toBe('lost');
    newest().ready();
    expect(live.current().kind).toBe('live');
    expect(changes).toEqual(['everything']);
    expect(streams).toHaveLength(1);
  });

  it('open a new stream after growing waits when the provider refuses', () => {
    const { live, streams, newest, changes, onRefused } = setup();
    newest().ready();
    newest().fail(2);
    expect(onRefused).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(999);
    expect(streams).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(streams).toHaveLength(2);
    newest().fail(2);
    vi.advanceTimersByTime(1999);
    expect(streams).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(streams).toHaveLength(3);
    newest().ready();
    expect(live.current().kind).toBe('live');
    expect(changes).toEqual(['everything']);
  });

  it('wait half a minute at most', () => {
    const { streams, newest } = setup();
    for (let i = 0; i < 10; i++) {
      newest().fail(2);
      vi.advanceTimersByTime(30_000);
    }
    expect(streams).toHaveLength(11);
  });

  it('hurry when asked', () => {
    const { live, streams, newest } = setup();
    live.hurry();
    expect(streams).toHaveLength(1);
    newest().fail(2);
    live.hurry();
    expect(streams).toHaveLength(2);
    vi.advanceTimersByTime(60_000);
    expect(streams).toHaveLength(2);
  });

  it('ignore what they cannot read and what an old stream says', () => {
    const { streams, newest, changes } = setup();
    newest().ready();
    newest().emit('change', 'no JSON');
    newest().emit('change', '{"topics":7}');
    newest().emit('change', 'null');
    newest().fail(2);
    vi.advanceTimersByTime(1000);
    streams[0]!.change('device');
    expect(changes).toEqual([]);
  });

  it('stop for good, and can be started again', () => {
    const { live, streams, newest, changes } = setup();
    newest().ready();
    newest().change('device');
    newest().change('site');
    live.stop();
    vi.advanceTimersByTime(60_000);
    expect(changes).toEqual([['device']]);
    expect(streams[0]!.readyState).toBe(2);
    live.start();
    expect(streams).toHaveLength(2);
    expect(live.current().kind).toBe('connecting');
  });

  it('tell subscribers of each change of the state once', () => {
    const { live, newest } = setup();
    const seen: string[] = [];
    const stop = live.subscribe(() => seen.push(live.current().kind));
    newest().ready();
    newest().ready();
    newest().fail(0);
    newest().fail(2);
    stop();
    vi.advanceTimersByTime(1000);
    newest().ready();
    expect(seen).toEqual(['live', 'lost']);
  });
});
