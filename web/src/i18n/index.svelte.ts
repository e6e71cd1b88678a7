// Two languages. The first is the browser's; the choice is remembered.
import { recall, remember } from '../state/memory';
import { en } from './en';
import { pt } from './pt';

export type Language = 'pt' | 'en';
export type Words = keyof typeof pt;

const texts: Record<Language, Record<Words, string>> = { pt, en };
const locales: Record<Language, string> = { pt: 'pt-BR', en: 'en-GB' };

class Chosen {
  language = $state<Language>(first());

  get locale(): string {
    return locales[this.language];
  }

  choose(language: Language): void {
    this.language = language;
    remember('language', language);
  }
}

export const chosen = new Chosen();

/** The text, with `{name}` filled in. */
export function t(key: Words, values: Record<string, string | number> = {}): string {
  return texts[chosen.language][key].replace(/\{(\w+)\}/g, (all, name: string) =>
    String(values[name] ?? all),
  );
}

/** A text whose key comes from the wire; what is not known is shown as it came. */
export function word(prefix: string, value: string | undefined): string {
  return knows(prefix, value) ?? value ?? '';
}

/** The same, but nothing where the page has no word for it. */
export function knows(prefix: string, value: string | undefined): string | undefined {
  const key = `${prefix}.${value ?? ''}`;
  return key in pt ? t(key as Words) : undefined;
}

function first(): Language {
  const remembered = recall('language');
  if (remembered === 'pt' || remembered === 'en') return remembered;
  return navigator.language.toLowerCase().startsWith('pt') ? 'pt' : 'en';
}
