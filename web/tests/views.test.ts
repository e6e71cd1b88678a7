// Whole views, with companies whose answers are made up.
import { cleanup, render, screen } from '@testing-library/svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Company } from '../src/api/client';
import { chosen } from '../src/i18n/index.svelte';
import { home } from '../src/state/companies.svelte';
import type { Trip } from '../src/api/types';
import { Link, live, type Station } from '../src/state/live.svelte';
import StationPanel from '../src/map/StationPanel.svelte';
import Verdict from '../src/parts/Verdict.svelte';
import Sequence from '../src/parts/Sequence.svelte';
import css from '../src/app.css?raw';
import TripView from '../src/views/TripView.svelte';
import CompanyView from '../src/views/CompanyView.svelte';
import HealthView from '../src/views/HealthView.svelte';

const HOUR_MS = 3_600_000;

let answers: Record<string, unknown>;

beforeEach(() => {
  chosen.choose('en');
  answers = {};
  home.config = { modo: 'demo', versao: '0' };
  live.links = [
    new Link('empresa-a', 'Jangada', new Company('a/')),
    new Link('empresa-b', 'Sabiá', new Company('b/')),
  ];
  vi.stubGlobal('fetch', (url: string) => {
    const path = Object.keys(answers).find((one) => url.startsWith(one));
    return path
      ? Promise.resolve(new Response(JSON.stringify(answers[path])))
      : Promise.reject(new Error(url));
  });
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test('a calendar has one clock, which it names, also for rows where the clocks are others', async () => {
  const start = Math.ceil(Date.now() / HOUR_MS) * HOUR_MS;
  const window = (session: string) => ({
    inicio: new Date(start).toISOString(),
    fim: new Date(start + HOUR_MS).toISOString(),
    estado: 'confirmada',
    sessao: session,
    coordenador: 'empresa-a',
    parada: 0,
  });
  const point = (ponto_id: string, uf: string) => ({
    ponto_id,
    estacao_id: ponto_id,
    nome: 'Posto',
    cidade: 'Lugar',
    uf,
    estado: 'disponivel',
    janelas: [window(ponto_id)],
  });
  answers = {
    'a/painel/reservas': {
      pontos: [point('P-AM', 'AM'), point('P-SP', 'SP'), point('P-BA', 'BA'), point('P-MG', 'MG')],
    },
    'a/painel/numeros': {
      faixas: [],
      recusas: { por_motivo: [] },
      viagens: { reservadas: 0, recusadas: 0, canceladas: 0 },
      utilizacao_pct: 0,
      reservado_min: 0,
      pontos: 4,
      reservas_com_previsao: 0,
      receita_prevista_brl: 0,
      receita_teto_brl: 0,
    },
  };
  render(CompanyView);
  const hours = (ahead: number) =>
    [start, start + HOUR_MS]
      .map((one) => new Date(one + ahead * HOUR_MS).toISOString().slice(11, 16))
      .join('–');
  const entries = await screen.findAllByRole('button', { name: /^reserved · / });
  const told = entries.map((one) => one.getAttribute('aria-label')?.split(' · ')[1]);
  const here = `${hours(-3)} (Brasilia Time)`;
  expect(screen.getByText('all times: Brasilia Time')).toBeTruthy();
  expect(told).toEqual([`${here}, there ${hours(-4)}`, here, here, here]);
});

test('without a connection the last verdict is old, and how companies are is not known', async () => {
  const company = {
    id: 'empresa-a',
    nome: 'Jangada',
    base: '/a',
    url: '',
    estado: 'no_ar',
    isolada: false,
    desde: '',
  };
  const verdict = {
    instante: '2026-12-01T11:00:00Z',
    veredito: 'integra',
    texto: '',
    contagens: {},
    achados: [],
    nao_examinadas: ['empresa-b'],
  };
  const told =
    `event: empresas\ndata: ${JSON.stringify({ empresas: [company] })}\n\n` +
    `event: auditoria\ndata: ${JSON.stringify(verdict)}\n\n`;
  let hangUp: () => void = () => undefined;
  let calls = 0;
  vi.stubGlobal('fetch', (url: string) => {
    if (url.endsWith('painel/config')) return Promise.resolve(new Response('{"modo":"demo","versao":"0"}'));
    if (url.endsWith('demo/empresas')) {
      return Promise.resolve(new Response(JSON.stringify({ empresas: [company] })));
    }
    if (!url.endsWith('demo/eventos') || calls++ > 0) return Promise.reject(new Error(url));
    const stream = new ReadableStream({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode(told));
        hangUp = () => controller.close();
      },
    });
    return Promise.resolve(new Response(stream));
  });
  live.links = await home.discover();
  render(HealthView);
  const { container } = render(Verdict);
  const pill = () => container.querySelector('[data-verdict]');
  const state = () => document.querySelector('[data-company] [data-state]')?.getAttribute('data-state');

  await vi.waitFor(() => expect(pill()?.className).toContain('good'));
  expect(state()).toBe('no_ar');
  // One company could not be read: nothing is said of all.
  expect(screen.getByText(/^Read from the databases that can be read now/)).toBeTruthy();
  expect(screen.queryByText(/databases of all companies/)).toBeNull();

  hangUp();
  await vi.waitFor(() => expect(pill()?.className).toContain('soft'));
  expect(pill()?.textContent).toContain('Whole 08:00');
  expect(state()).toBe('desconhecido');
  expect(screen.getByText(/^No connection since/)).toBeTruthy();
});

test('of a station whose company does not answer nothing is said to be free or taken', async () => {
  home.companies = [];
  const station: Station = {
    key: 'empresa-b/S',
    empresa: 'empresa-b',
    id: 'S',
    name: 'Posto',
    city: 'Lugar',
    state: 'MG',
    latitude: 0,
    longitude: 0,
    zone: 'America/Sao_Paulo',
    evses: [{ id: 'P', plugs: [], power: 50, price: 2, fee: 0, state: 'disponivel', isFree: true }],
  };
  const free = { inicio: new Date(0).toISOString(), fim: new Date(9e12).toISOString() };
  answers = { 'b/painel/estacoes/empresa-b/S': { atual: true, pontos: [{ ponto_id: 'P', livres: [free] }] } };
  const { container, rerender } = render(StationPanel, { station });
  await vi.waitFor(() => expect(container.querySelector('.day.known span')).toBeTruthy());
  expect(screen.getByText('free in the window')).toBeTruthy();

  answers = {};
  await rerender({ station: { ...station } });
  expect(await screen.findByText('not known now')).toBeTruthy();
  expect(screen.queryByText('free in the window')).toBeNull();
  expect(container.querySelector('.day.known, .day span')).toBeNull();
});

test('the newest trip stays in sight when newer ones come', async () => {
  const trip = (viagem_id: string, decidida_em: string): Trip => ({
    viagem_id,
    estado: 'confirmada',
    requisicao_id: viagem_id,
    veiculo_id: `carro-${viagem_id}`,
    servidor: 'empresa-a',
    sessao: `s.${viagem_id}`,
    decidida_em,
    paradas: [],
  });
  live.keep(trip('1', '2026-12-01T11:00:00Z'));
  live.hasReadTrips = true;
  render(TripView);
  expect(await screen.findByRole('heading', { name: /^Trip of carro-1/ })).toBeTruthy();
  live.keep(trip('2', '2026-12-01T12:00:00Z'));
  expect(await screen.findByText('carro-2')).toBeTruthy();
  expect(screen.getByRole('heading', { name: /^Trip of carro-1/ })).toBeTruthy();
});

test('the name of a company that is too long for its lane can be read all the same', () => {
  const name = 'Companhia Nacional de Recargas Rápidas e Confiáveis';
  live.links = [new Link('empresa-a', name, new Company('a/'))];
  render(Sequence, { trace: { lanes: ['driver', 'empresa-a'], messages: [], start: 0, left: 0 } });
  expect(screen.getByTitle(name).textContent).toBe(name);
});

test('what is written on the colour of a company can be read in both themes', () => {
  const light = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = parseInt(colour.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [, lightTheme = '', darkTheme = ''] = css.split(':root');
  for (const theme of [lightTheme, darkTheme]) {
    const ink = light(/--on-company: (#\w+)/.exec(theme)?.[1] ?? '');
    const colours = [...theme.matchAll(/--company-\d: (#\w+)/g)].map(([, colour = '']) => colour);
    expect(colours).toHaveLength(6);
    for (const colour of colours) {
      const [less = 0, more = 0] = [ink, light(colour)].sort((one, other) => one - other);
      expect([colour, (more + 0.05) / (less + 0.05) >= 4.5]).toEqual([colour, true]);
    }
  }
});
