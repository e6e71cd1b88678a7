// How every company is, asked every other second while somebody looks, with a short memory for charts.
import type { Vitals } from '../api/types';
import { home } from './companies.svelte';
import { live } from './live.svelte';

const EVERY_MS = 2_000;
const SAMPLES_MAX = 300;

export interface Sample {
  at: number;
  trips: (number | null)[];
  flushes: (number | null)[];
}

class Pulse {
  vitals = $state.raw<Record<string, Vitals | null>>({});
  samples = $state.raw<Sample[]>([]);

  /** Asks until what it answers is called. */
  watch(): () => void {
    let ended = false;
    const run = async () => {
      while (!ended) {
        if (!document.hidden && home.mayRead) await this.#ask();
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      }
    };
    void run();
    return () => (ended = true);
  }

  async #ask(): Promise<void> {
    const all = await Promise.all(
      live.links.map(async ({ id, api }) => [id, await api.vitals().catch(() => null)] as const),
    );
    this.vitals = Object.fromEntries(all);
    const sample: Sample = {
      at: Date.now() / 1000,
      trips: all.map(([, vitals]) => vitals?.viagens.p99_ms ?? null),
      flushes: all.map(([, vitals]) => vitals?.gravacoes.p99_ms ?? null),
    };
    this.samples = [...this.samples.slice(1 - SAMPLES_MAX), sample];
  }
}

export const pulse = new Pulse();
