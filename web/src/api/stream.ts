// Server-sent events over fetch: unlike EventSource it can show a token, and tells what it does meanwhile.

/** One event as it came. */
export interface Message {
  id: string;
  event: string;
  data: string;
}

export type LinkState = 'connecting' | 'live' | 'waiting';

export interface StreamOptions {
  /** Asked anew for each connection. */
  url: () => string;
  headers?: () => Record<string, string>;
  onMessage: (message: Message) => void;
  onState: (state: LinkState) => void;
}

const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 10_000;
/** The program says something every 15 s; silence for longer is a broken line. */
const SILENCE_MAX_MS = 40_000;
const HIDDEN_MS = 5_000;
/** A line that does not end is not an event of ours. */
const PENDING_MAX = 1 << 20;

export interface Stream {
  /** Hangs up, until the page is shown again. */
  pause: () => void;
  /** Calls again at once, from where it was, as when what is asked for has changed. */
  restart: () => void;
}

/**
 * Reads events for ever, from where it stopped after every break. A page that is hidden hangs up: a browser has few
 * connections to one address, and another page needs them.
 */
export function follow(options: StreamOptions): Stream {
  const position = { last: '' };
  let stopped: AbortController | undefined;
  const pause = () => {
    stopped?.abort();
    stopped = undefined;
  };
  const resume = () => {
    if (stopped) return;
    stopped = new AbortController();
    void run(options, stopped.signal, position);
  };
  const restart = () => {
    if (!stopped) return;
    pause();
    resume();
  };
  let hiding: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(pause, HIDDEN_MS);
    else resume();
  });
  resume();
  return { pause, restart };
}

async function run(options: StreamOptions, stopped: AbortSignal, position: { last: string }): Promise<void> {
  let pause = PAUSE_FIRST_MS;
  while (!stopped.aborted) {
    options.onState('connecting');
    try {
      await read(options, stopped, position.last, (message) => {
        if (message.id) position.last = message.id;
        pause = PAUSE_FIRST_MS;
        options.onMessage(message);
      });
    } catch {
      // Whatever broke: the answer is the same.
    }
    if (stopped.aborted) return;
    options.onState('waiting');
    // A little at random, so that many pages do not come back at the same instant.
    await sleep(pause * (0.75 + Math.random() / 2), stopped);
    pause = Math.min(pause * 2, PAUSE_MAX_MS);
  }
}

async function read(
  { url, headers, onState }: StreamOptions,
  stopped: AbortSignal,
  last: string,
  onMessage: (message: Message) => void,
): Promise<void> {
  const line = new AbortController();
  const hangUp = () => line.abort();
  stopped.addEventListener('abort', hangUp);
  let silence = setTimeout(hangUp, SILENCE_MAX_MS);
  try {
    const response = await fetch(url(), {
      headers: { Accept: 'text/event-stream', ...headers?.(), ...(last && { 'Last-Event-ID': last }) },
      signal: line.signal,
      cache: 'no-store',
    });
    if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
    onState('live');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = parser(onMessage);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(hangUp, SILENCE_MAX_MS);
      parse(value);
    }
  } finally {
    clearTimeout(silence);
    stopped.removeEventListener('abort', hangUp);
    line.abort();
  }
}

/** Takes text in pieces as they arrive, and gives whole events. */
export function parser(onMessage: (message: Message) => void): (text: string) => void {
  let pending = '';
  let message: Message = { id: '', event: 'message', data: '' };
  let hasData = false;
  const take = (line: string) => {
    if (line === '') {
      if (hasData) onMessage(message);
      message = { id: '', event: 'message', data: '' };
      hasData = false;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      message.data = hasData ? `${message.data}\n${value}` : value;
      hasData = true;
    } else if (field === 'event') message.event = value;
    else if (field === 'id') message.id = value;
  };
  return (text) => {
    pending += text;
    const lines = pending.split(/\r\n|\n|\r(?!$)/);
    pending = lines.pop() ?? '';
    if (pending.length > PENDING_MAX) throw new Error('a line without end');
    for (const line of lines) take(line);
  };
}

function sleep(milliseconds: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stopped.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
