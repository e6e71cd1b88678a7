// Which companies this page can see, and what it may do there: the one that serves it, or in the demo all of them.
import { Company, Demo, problemOf } from '../api/client';
import type { Access, Config, DemoCompany, Verdict } from '../api/types';
import { Link, live } from './live.svelte';

const TOKEN = 'recarga.token';

class Home {
  config = $state.raw<Config>();
  /** The operator's token is wrong, or there is none where one is needed. */
  rejected = $state(false);
  demo = $state.raw<Demo>();
  companies = $state.raw<DemoCompany[]>([]);
  verdict = $state.raw<Verdict>();
  /** Since when nobody tells how the companies are and what the audit says: what is known may have changed. */
  lostSince = $state<number | null>(null);

  get access(): Access {
    return this.config?.modo === 'demo' ? 'operador' : (this.config?.acesso ?? 'nenhum');
  }

  get mayRead(): boolean {
    return this.access !== 'nenhum';
  }

  get hasToken(): boolean {
    return this.config !== undefined && token() !== null;
  }

  async discover(): Promise<Link[]> {
    const here = new Company('./', token);
    this.config = await this.#ask(here);
    const { modo, empresa = '', nome = empresa } = this.config;
    if (modo === 'empresa') return [new Link(empresa, nome, here)];
    this.demo = new Demo('./');
    this.companies = await this.demo.companies();
    this.#watch(this.demo);
    return this.companies.map(
      ({ id, nome, base }) => new Link(id, nome, new Company(`${base.replace(/\/$/, '')}/`)),
    );
  }

  /** Shows another token; all begins anew with it. */
  login(text: string): void {
    remember(text.trim());
    location.reload();
  }

  logout(): void {
    remember('');
    location.reload();
  }

  /** Whether it is known not to answer at this moment. */
  isSilent(id: string): boolean {
    const link = live.link(id);
    const demo = this.companies.find((company) => company.id === id);
    return (
      (link !== undefined && link.downSince !== null) ||
      (this.lostSince === null && demo !== undefined && demo.estado !== 'no_ar')
    );
  }

  async #ask(here: Company): Promise<Config> {
    try {
      return await here.config();
    } catch (error) {
      if (problemOf(error).status !== 401 || !token()) throw error;
      remember('');
      this.rejected = true;
      return here.config();
    }
  }

  #watch(demo: Demo): void {
    demo.follow(() => 'demo/eventos', {
      onState: (state) => {
        if (state === 'live') this.lostSince = null;
        else if (state === 'waiting') this.lostSince ??= Date.now();
      },
      onMessage: ({ event, data }) => {
        try {
          const told = JSON.parse(data);
          if (event === 'empresas') this.companies = told.empresas;
          if (event === 'auditoria') this.verdict = told;
        } catch {
          // What cannot be read is told again.
        }
      },
    });
  }
}

// Only as long as the window is open.
function token(): string | null {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

function remember(text: string): void {
  try {
    if (text) sessionStorage.setItem(TOKEN, text);
    else sessionStorage.removeItem(TOKEN);
  } catch {
    // Then it is asked for again.
  }
}

export const home = new Home();
