// The colours of the page, for what is painted rather than styled.
const NAMES = [
  'sea',
  'land',
  'land-other',
  'border',
  'ink',
  'ink-soft',
  'surface',
  'free',
  'busy',
  'using',
  'out',
  'danger',
  'accent',
  'company-0',
  'company-1',
  'company-2',
  'company-3',
  'company-4',
  'company-5',
  'on-company',
] as const;

export type Colours = Record<(typeof NAMES)[number], string>;

export function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  ) as Colours;
}
