// What a timeline shows, apart from how: which part of time is seen, and what lies in it.
export type Kind = 'soft' | 'hold' | 'reserved' | 'using';

export interface Entry {
  id: string;
  row: string;
  from: number;
  to: number;
  kind: Kind;
  /** What a person reads about it. */
  text: string;
  session?: string;
}
export interface Row {
  id: string;
  name: string;
  detail: string;
  isOut?: boolean;
}
export interface Span {
  from: number;
  to: number;
}

const MINUTE_MS = 60_000;
export const SPAN_LEAST_MS = 30 * MINUTE_MS;
export const SPAN_MOST_MS = 7 * 1_440 * MINUTE_MS;

/** Nearer (below 1) or farther, around an instant that stays where it is. */
export function zoomed({ from, to }: Span, factor: number, around = (from + to) / 2): Span {
  const length = Math.min(SPAN_MOST_MS, Math.max(SPAN_LEAST_MS, (to - from) * factor));
  const share = (around - from) / (to - from);
  const start = around - share * length;
  return { from: start, to: start + length };
}

/** Earlier or later by a share of what is seen. */
export function moved({ from, to }: Span, share: number): Span {
  const step = (to - from) * share;
  return { from: from + step, to: to + step };
}

const STEPS_MS = [5, 15, 30, 60, 120, 180, 360, 720, 1_440].map((minutes) => minutes * MINUTE_MS);

/** Round instants to write under a timeline, not more than `most`. */
export function ticks({ from, to }: Span, most: number, offsetMs = 0): number[] {
  const step = STEPS_MS.find((one) => (to - from) / one <= most) ?? 1_440 * MINUTE_MS;
  const first = Math.ceil((from + offsetMs) / step) * step - offsetMs;
  const all: number[] = [];
  for (let tick = first; tick <= to; tick += step) all.push(tick);
  return all;
}

/** How far the clocks of a time zone are ahead of UTC at an instant. */
export function offsetOf(zone: string | undefined, instant: number): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  }).formatToParts(new Date(instant));
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value ?? 0);
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
  return local - Math.floor(instant / MINUTE_MS) * MINUTE_MS;
}
