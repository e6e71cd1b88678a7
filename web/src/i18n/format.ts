// Numbers, money and times as people read them: in the language of the page, in the time zone of the place.
import { chosen } from './index.svelte';

const made = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();

function times(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return cached(options, () => new Intl.DateTimeFormat(chosen.locale, options)) as Intl.DateTimeFormat;
}

function numbers(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return cached(options, () => new Intl.NumberFormat(chosen.locale, options)) as Intl.NumberFormat;
}

// Making a formatter costs far more than using it.
function cached(options: object, make: () => Intl.DateTimeFormat | Intl.NumberFormat) {
  const key = chosen.locale + JSON.stringify(options);
  let known = made.get(key);
  if (!known) made.set(key, (known = make()));
  return known;
}

type Instant = string | number | Date;

/** 14:05, where the place is; the browser's own time without a zone. */
export function clock(instant: Instant, zone?: string): string {
  return times({ hour: '2-digit', minute: '2-digit', ...inZone(zone) }).format(new Date(instant));
}

/** 14:05:09, by the browser's own time. */
export function seconds(instant: Instant): string {
  return times({ hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(instant));
}

/** Fri 27 Nov, 14:05. */
export function moment(instant: Instant, zone?: string): string {
  const options = {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  } as const;
  return times({ ...options, ...inZone(zone) }).format(new Date(instant));
}

/** Fri 27 Nov. */
export function day(instant: Instant, zone?: string): string {
  return times({ weekday: 'short', day: 'numeric', month: 'short', ...inZone(zone) }).format(
    new Date(instant),
  );
}

/** 14:05:09.123, for those who look at milliseconds. */
export function exact(instant: Instant): string {
  const options = {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    fractionalSecondDigits: 3,
  } as const;
  return times(options).format(new Date(instant));
}

export function money(reais: number): string {
  return numbers({ style: 'currency', currency: 'BRL' }).format(reais);
}

export function number(value: number, digits = 0): string {
  return numbers({ maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

export function percent(value: number, digits = 0): string {
  return `${number(value, digits)} %`;
}

/** 3 h 05 min. */
export function minutes(value: number): string {
  const whole = Math.max(0, Math.round(value));
  const [hours, rest] = [Math.floor(whole / 60), whole % 60];
  if (hours === 0) return `${rest} min`;
  return `${hours} h ${String(rest).padStart(2, '0')}`;
}

/** 12 ms, 1.4 s, 3 min. */
export function duration(milliseconds: number): string {
  if (milliseconds < 10) return `${number(milliseconds, 1)} ms`;
  if (milliseconds < 1000) return `${number(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${number(milliseconds / 1000, 1)} s`;
  return minutes(milliseconds / 60_000);
}

function inZone(zone?: string): { timeZone?: string } {
  return zone && isZone(zone) ? { timeZone: zone } : {};
}

const zones = new Map<string, boolean>();

export function isZone(zone: string): boolean {
  let known = zones.get(zone);
  if (known === undefined) {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone });
      known = true;
    } catch {
      known = false;
    }
    zones.set(zone, known);
  }
  return known;
}
