import { expect, test } from 'vitest';
import { en } from '../src/i18n/en';
import { clock, moment } from '../src/i18n/format';
import { chosen, t, word, type Words } from '../src/i18n/index.svelte';
import { pt } from '../src/i18n/pt';

const gaps = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort();
const sources = Object.values(
  import.meta.glob<string>(['../src/**/*.svelte', '../src/**/*.ts', '!../src/i18n/{pt,en}.ts'], {
    query: '?raw',
    import: 'default',
    eager: true,
  }),
).join('\n');

test('both languages say the same, with the same gaps', () => {
  expect(Object.keys(en).sort()).toEqual(Object.keys(pt).sort());
  for (const key of Object.keys(pt) as Words[]) expect([key, gaps(en[key])]).toEqual([key, gaps(pt[key])]);
});

test('no text is left that nothing shows', () => {
  const prefixes = [...sources.matchAll(/(?:word|knows)\(\s*'([a-z.]+)'/g)].map(([, prefix]) => `${prefix}.`);
  const unused = Object.keys(pt).filter(
    (key) =>
      !sources.includes(`'${key}'`) &&
      !key.startsWith('nav.') &&
      !prefixes.some((one) => key.startsWith(one)),
  );
  expect(unused).toEqual([]);
});

test('what the wire says and the page does not know is shown as it came', () => {
  expect(word('car', 'voando')).toBe('voando');
  chosen.choose('en');
  expect(word('car', 'carregando')).toBe('charging');
  expect(t('plan.stops.many', { count: 3 })).toBe('3 stops');
});

test('times are those of the place, and an unknown zone breaks nothing', () => {
  expect(clock('2026-12-01T11:00:00Z', 'America/Bahia')).toBe('08:00');
  expect(clock('2026-12-01T11:00:00Z', 'America/Noronha')).toBe('09:00');
  expect(moment('2026-12-01T02:00:00Z', 'America/Bahia')).toContain('30');
  expect(clock('2026-12-01T11:00:00Z', 'Mars/Olympus')).toMatch(/^\d\d:\d\d$/);
});
