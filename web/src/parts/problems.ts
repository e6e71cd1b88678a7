// Why something was refused, in the page's own words where it has some: the program's are Portuguese, and for programs.
import type { Problem } from '../api/types';
import { knows } from '../i18n/index.svelte';

/** Nothing where the page has no words for it. */
export function explained({ tipo, campo }: Problem): string | undefined {
  const field = tipo === 'campo-invalido' ? knows('problem.campo', campo) : undefined;
  return field ?? knows('problem', tipo);
}
