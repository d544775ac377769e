// Follows the provider's server-sent events. It tells its owner which topics
// changed and whether the connection is there; it knows no page and no query.
//
// A browser reconnects a stream that broke by itself, but gives up when the
// answer is an error (a restarting provider, an ended session); then this opens
// a new one, after waits that grow. What happened meanwhile nobody tells, so
// everything is read again when a stream begins anew.

/** How the connection stands: first tried, there, or lost since a time. */
export type LiveState = { kind: 'connecting' } | { kind: 'live' } | { kind: 'lost'; since: number };

/** What is used of an EventSource. */
export interface Stream {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: { data?: unknown }) => void): void;
  close(): void;
}

export interface LiveConfig {
  /** Opens a stream. */
  open: () => Stream;
  /** Topics changed; undefined means that anything may have. */
  onChange: (topics: ReadonlySet<string> | undefined) => void;
  /** The provider refused the stream: the session may have ended. */
  onRefused: () => void;
}

/** The shortest time between two calls of onChange, in milliseconds. */
export const gap = 1000;
const firstWait = 1000;
const longestWait = 30_000;
const closed = 2;

/** One stream of events, kept open between start and stop. */
export class LiveEvents {
  private state: LiveState = { kind: 'connecting' };
  private stream: Stream | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private flush: ReturnType<typeof setTimeout> | undefined;
  private wait = firstWait;
  private wasReady = false;
  private pending = new Set<string>();
  private readonly listeners = new Set<() => void>();

  constructor(private readonly config: LiveConfig) {}

  /** The present state; the same object until it changes. */
  current = (): LiveState => this.state;

  /** Calls back on each change of the state, until the returned function is called. */
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  start(): void {
    if (!this.stream && this.retry === undefined) this.connect();
  }

  stop(): void {
    clearTimeout(this.retry);
    clearTimeout(this.flush);
    this.retry = this.flush = undefined;
    this.pending.clear();
    this.stream?.close();
    this.stream = undefined;
    this.wasReady = false;
    this.set({ kind: 'connecting' });
  }

  /** Tries at once instead of waiting: the network is back, or somebody asks. */
  hurry(): void {
    if (this.retry === undefined) return;
    clearTimeout(this.retry);
    this.retry = undefined;
    this.wait = firstWait;
    this.connect();
  }

  private connect(): void {
    const stream = this.config.open();
    this.stream = stream;
    const mine = (act: (event: { data?: unknown }) => void) => (event: { data?: unknown }) => {
      if (this.stream === stream) act(event);
    };
    stream.addEventListener('ready', mine(() => this.ready()));
    stream.addEventListener('change', mine((event) => this.changed(event.data)));
    stream.addEventListener('error', mine(() => this.broken(stream)));
  }

  private ready(): void {
    this.wait = firstWait;
    this.set({ kind: 'live' });
    if (this.wasReady) this.config.onChange(undefined);
    this.wasReady = true;
  }

  private changed(data: unknown): void {
    for (const topic of topicsIn(data)) this.pending.add(topic);
    // The first is told at once; what comes within the gap is told together.
    if (this.flush === undefined) this.tell();
  }

  private tell(): void {
    if (this.pending.size === 0) {
      this.flush = undefined;
      return;
    }
    const topics = this.pending;
    this.pending = new Set();
    this.flush = setTimeout(() => this.tell(), gap);
    this.config.onChange(topics);
  }

  private broken(stream: Stream): void {
    if (this.state.kind !== 'lost') this.set({ kind: 'lost', since: Date.now() });
    if (stream.readyState !== closed) return; // the browser tries again
    stream.close();
    this.stream = undefined;
    this.retry = setTimeout(() => {
      this.retry = undefined;
      this.connect();
    }, this.wait);
    this.wait = Math.min(this.wait * 2, longestWait);
    this.config.onRefused();
  }

  private set(state: LiveState): void {
    if (state.kind === this.state.kind) return;
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

/** The topics that an event names; none when it cannot be read. */
function topicsIn(data: unknown): string[] {
  if (typeof data !== 'string') return [];
  try {
    const event: unknown = JSON.parse(data);
    const topics = (event as { topics?: unknown } | null)?.topics;
    return Array.isArray(topics) ? topics.filter((topic) => typeof topic === 'string') : [];
  } catch {
    return [];
  }
}
