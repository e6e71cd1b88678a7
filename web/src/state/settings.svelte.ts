// Light or dark, and who the page's car is: the page's own choices, remembered.
import { recall, remember } from './memory';

export type Theme = 'light' | 'dark';

const dark = matchMedia('(prefers-color-scheme: dark)');

class Settings {
  #system = $state<Theme>(dark.matches ? 'dark' : 'light');
  #choice = $state<Theme | null>(rememberedTheme());

  /** The car for which this page books, until another is named. */
  readonly vehicle = rememberedVehicle();

  constructor() {
    dark.addEventListener('change', () => (this.#system = dark.matches ? 'dark' : 'light'));
  }

  get theme(): Theme {
    return this.#choice ?? this.#system;
  }

  toggleTheme(): void {
    this.#choice = this.theme === 'dark' ? 'light' : 'dark';
    remember('theme', this.#choice);
  }
}

function rememberedTheme(): Theme | null {
  const theme = recall('theme');
  return theme === 'light' || theme === 'dark' ? theme : null;
}

function rememberedVehicle(): string {
  const known = recall('vehicle');
  if (known) return known;
  const made = `painel-${Math.random().toString(36).slice(2, 8)}`;
  remember('vehicle', made);
  return made;
}

export const settings = new Settings();
