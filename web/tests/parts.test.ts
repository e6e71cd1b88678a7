import { cleanup, fireEvent, render, screen } from '@testing-library/svelte';
import { afterEach, expect, test } from 'vitest';
import type { Itinerary } from '../src/api/types';
import { chosen } from '../src/i18n/index.svelte';
import { numbersOf, timesOf } from '../src/charts/Chart.svelte';
import ItineraryCard from '../src/parts/ItineraryCard.svelte';
import ProblemNotice from '../src/parts/ProblemNotice.svelte';
import PlaceField, { offered } from '../src/parts/PlaceField.svelte';
import Timeline from '../src/parts/Timeline.svelte';
import { ticks, zoomed } from '../src/parts/timeline';
import { Bounded } from '../src/state/bounded';

afterEach(cleanup);

const HOUR_MS = 3_600_000;

test('a plan shows the times of each place, not of the browser', () => {
  chosen.choose('en');
  const itinerary: Itinerary = {
    origem: { nome: 'Recife, PE', latitude: 0, longitude: 0 },
    destino: { nome: 'Rio Branco, AC', latitude: 0, longitude: 0 },
    modelo: 'x',
    partida: '2026-12-01T11:00:00Z',
    chegada: '2026-12-01T20:00:00Z',
    distancia_km: 500,
    conducao_min: 400,
    recarga_min: 30,
    espera_min: 0,
    preco: 90.5,
    chegada_pct: 14,
    paradas: [
      {
        parada: 0,
        empresa: 'empresa-b',
        estacao_id: 'S',
        nome: 'Posto',
        cidade: 'Rio Branco',
        uf: 'AC',
        latitude: 0,
        longitude: 0,
        fuso: 'America/Rio_Branco',
        ponto_id: 'P',
        conector_id: '1',
        potencia_kw: 60,
        distancia_km: 250,
        chegada: '2026-12-01T15:00:00Z',
        janela_inicio: '2026-12-01T15:00:00Z',
        janela_fim: '2026-12-01T15:45:00Z',
        saida: '2026-12-01T15:40:00Z',
        chegada_pct: 18,
        saida_pct: 83,
        energia_kwh: 40,
        preco: 90.5,
      },
    ],
  };
  render(ItineraryCard, { itinerary, start: 80, title: 'A' });
  expect(screen.getByText('Arrives 15:00')).toBeTruthy();
  expect(screen.getByText('10:00–10:40')).toBeTruthy();
  expect(screen.getByText('charges 40 min')).toBeTruthy();
  // Clocks that are others than the reader's, in Salvador, are named; those of Recife are the same.
  expect(screen.getByText(/^Tue 1 Dec \(time of Rio Branco\) · with 14 %$/)).toBeTruthy();
  expect(screen.getByText(/^\(time of Rio Branco\) · 60 kW/)).toBeTruthy();
  expect(screen.getByText('· Leaves 08:00 · leaves with 80 %')).toBeTruthy();
  expect(screen.getByRole('img').getAttribute('aria-label')).toContain('80 %, 18 %, 83 %, 14 %');
});

test('a city is found without its accents, and chosen by keyboard', async () => {
  expect(offered('sao paulo')[0]).toBe('São Paulo, SP');
  expect(offered('s')).toEqual([]);
  render(PlaceField, { value: '', label: 'From', id: 'from' });
  const field = screen.getByRole('combobox') as HTMLInputElement;
  await fireEvent.input(field, { target: { value: 'maceio' } });
  await fireEvent.keyDown(field, { key: 'ArrowDown' });
  await fireEvent.keyDown(field, { key: 'Enter' });
  expect(field.value).toBe('Maceió, AL');
});

test('a calendar of very many EVSEs has only those in sight', () => {
  const rows = Array.from({ length: 20_000 }, (_, index) => ({
    id: `P${index}`,
    name: `P${index}`,
    detail: '',
  }));
  const entries = [
    {
      id: 'e',
      row: 'P1',
      from: HOUR_MS,
      to: 2 * HOUR_MS,
      kind: 'reserved' as const,
      text: 'reserved 1 to 2',
    },
    { id: 'f', row: 'P1', from: 90 * HOUR_MS, to: 91 * HOUR_MS, kind: 'hold' as const, text: 'out of sight' },
  ];
  const { container } = render(Timeline, { rows, entries, span: { from: 0, to: 24 * HOUR_MS }, now: 0 });
  expect(container.querySelectorAll('li').length).toBeLessThan(100);
  expect(screen.getByLabelText('reserved 1 to 2')).toBeTruthy();
  expect(screen.queryByLabelText('out of sight')).toBeNull();
});

test('a timeline zooms around where it is pointed at, within bounds', () => {
  const span = { from: 0, to: 10 * HOUR_MS };
  const near = zoomed(span, 0.5, 2 * HOUR_MS);
  expect(near).toEqual({ from: HOUR_MS, to: 6 * HOUR_MS });
  for (const factor of [1e-9, 1e9]) {
    const { from, to } = zoomed(span, factor);
    expect(to - from).toBeGreaterThanOrEqual(HOUR_MS / 2);
    expect(to - from).toBeLessThanOrEqual(7 * 24 * HOUR_MS);
    expect(ticks({ from, to }, 12).length).toBeLessThanOrEqual(13);
  }
  // Full hours of a place that is half an hour off.
  expect(ticks({ from: 0, to: 3 * HOUR_MS }, 3, HOUR_MS / 2)[0]).toBe(HOUR_MS / 2);
});

test('a problem is told in the language of the page, with what the program said behind it', () => {
  chosen.choose('en');
  const said = { title: 'Valor inválido em um campo', detail: 'a saída já passou', status: 422 };
  const { unmount } = render(ProblemNotice, { problem: { tipo: 'campo-invalido', campo: 'saida', ...said } });
  expect(screen.getByText(/^This departure is in the past/)).toBeTruthy();
  expect(screen.getByText('Valor inválido em um campo: a saída já passou').closest('details')?.open).toBe(
    false,
  );
  unmount();
  // What the page has no words for is shown as it came.
  render(ProblemNotice, { problem: { tipo: 'algo-novo', ...said } });
  expect(screen.getByText('a saída já passou').lang).toBe('pt-BR');
});

test('the marks of a chart differ, and are written as the language writes them', () => {
  chosen.choose('pt');
  const at = Date.parse('2026-12-01T11:20:00Z') / 1000;
  expect(timesOf([at, at + 10], 10)).toEqual(['08:20:00', '08:20:10']);
  expect(timesOf([at, at + 60], 60)).toEqual(['08:20', '08:21']);
  expect(numbersOf([0, 2_000], 2_000)).toEqual(['0', '2.000']);
  expect(numbersOf([0.5, 1], 0.5)).toEqual(['0,5', '1,0']);
  chosen.choose('en');
});

test('what a page remembers has an end', () => {
  const map = new Bounded<number, number>(3);
  for (let key = 0; key < 100; key++) map.set(key, key);
  map.set(98, 0);
  map.set(100, 100);
  expect([...map.keys()]).toEqual([99, 98, 100]);
});
