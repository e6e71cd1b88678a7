// Which view is open: the part of the address after `#`, so that a link leads to it and Back goes back.
export const VIEWS = ['mapa', 'planejar', 'empresas', 'viagens', 'saude'] as const;
export type View = (typeof VIEWS)[number];

class Route {
  #hash = $state(location.hash);

  constructor() {
    addEventListener('hashchange', () => (this.#hash = location.hash));
  }

  get view(): View {
    const view = this.#path[0] as View;
    return VIEWS.includes(view) ? view : 'mapa';
  }

  /** What is looked at in the view: a trip, a company. */
  get subject(): string | undefined {
    return this.#path[1] || undefined;
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.#hash.split('?')[1] ?? '');
  }

  get #path(): string[] {
    const path = this.#hash.replace(/^#\/?/, '').split('?')[0] ?? '';
    return path.split('/').map(decoded);
  }
}

export function link(view: View, subject?: string, query?: Record<string, string>): string {
  const path = `#/${view}${subject ? `/${encodeURIComponent(subject)}` : ''}`;
  return query ? `${path}?${new URLSearchParams(query)}` : path;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = new Route();
