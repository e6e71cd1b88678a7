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

/** The one that most have; of several the first by name, so that it stays the same. */
export function commonest(all: string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts].sort(
    ([one, ones], [other, others]) => others - ones || one.localeCompare(other),
  )[0]?.[0];
}
