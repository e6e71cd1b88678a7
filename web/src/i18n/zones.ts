// Whose time a time is. What is as far ahead of UTC as here needs no name.
import { zoneOfState } from '../state/zones';
import { isZone } from './format';
import { chosen, t } from './index.svelte';

const MINUTE_MS = 60_000;
const made = new Map<string, Intl.DateTimeFormat>();

/** How far the clocks of a time zone (of here, without one) are ahead of UTC at an instant. */
export function offsetOf(zone: string | undefined, instant: number): number {
  const known = zone && isZone(zone) ? zone : undefined;
  let format = made.get(known ?? '');
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: known,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
    made.set(known ?? '', format);
  }
  const parts = format.formatToParts(new Date(instant));
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value ?? 0);
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
  return local - Math.floor(instant / MINUTE_MS) * MINUTE_MS;
}

/** As people call it, as Brasilia Time; of here, without one. */
export function zoneName(zone?: string, instant = Date.now()): string {
  const parts = new Intl.DateTimeFormat(chosen.locale, {
    timeZone: zone && isZone(zone) ? zone : undefined,
    timeZoneName: 'long',
  }).formatToParts(new Date(instant));
  const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  return name.replace(/ (Padrão|Standard)\b/, '');
}

export function isElsewhere(instant: string | number, zone: string | undefined): boolean {
  if (!zone || !isZone(zone)) return false;
  const at = new Date(instant).getTime();
  return offsetOf(zone, at) !== offsetOf(undefined, at);
}

/** What stands beside the time of a place whose clocks are others than the reader's; nothing otherwise. */
export function timeOf(city: string, instant: string | number, zone: string | undefined): string {
  return isElsewhere(instant, zone) ? t('map.local-time', { city }) : '';
}

/** City and zone of a place that is called as `Rio Branco, AC`. */
export function placeOf(name: string): { city: string; zone: string } | undefined {
  const [, city, state] = /^(.+),\s*([A-Z]{2})$/.exec(name.trim()) ?? [];
  return city && state ? { city, zone: zoneOfState(state) } : undefined;
}
