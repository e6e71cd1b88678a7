import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Company } from '../src/api/client';
import type { Itinerary, ItineraryStop, Trip } from '../src/api/types';
import { Booking } from '../src/state/booking.svelte';
import { Link, live } from '../src/state/live.svelte';

const stop = (parada: number, ponto_id: string): ItineraryStop =>
  ({
    parada,
    empresa: 'empresa-b',
    ponto_id,
    janela_inicio: `2026-12-01T1${parada}:00:00Z`,
    janela_fim: `2026-12-01T1${parada}:30:00Z`,
  }) as ItineraryStop;
const itinerary = (...points: string[]): Itinerary =>
  ({ paradas: points.map((point, index) => stop(index, point)) }) as Itinerary;
const journey = { origem: 'Recife', destino: 'Salvador', bateria_pct: 80, modelo: 'byd-dolphin' };

let sent: { path: string; body: Record<string, unknown> }[];
let answers: ((path: string) => Response | Error)[];

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  live.links = [new Link('empresa-b', 'B', new Company('./'))];
  vi.stubGlobal('fetch', (path: string, { body }: { body: string }) => {
    sent.push({ path, body: JSON.parse(body) });
    const answer = answers.shift()?.(path) ?? new Error('nothing is left to answer');
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const json = (status: number, body: unknown) => () => new Response(JSON.stringify(body), { status });
const trip = (estado: string): Partial<Trip> => ({
  viagem_id: 'v1',
  estado: 'confirmada',
  veiculo_id: 'carro-1',
  servidor: 'empresa-b',
  sessao: 's',
  paradas: [{ ...stop(0, 'P1'), estado } as Trip['paradas'][number]],
});

test('as long as the outcome is not known, the very same request is repeated', async () => {
  answers = [
    () => new Error('broken line'),
    json(504, { tipo: 'em-andamento', title: '…', status: 504 }),
    json(201, trip('a_confirmar')),
  ];
  const booking = new Booking(itinerary('P1'), journey, 'carro-1');
  const run = booking.run();
  await vi.advanceTimersByTimeAsync(20_000);
  await run;
  expect(booking.phase).toBe('booked');
  expect(new Set(sent.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(sent).toHaveLength(3);
  expect(booking.progress(stop(0, 'P1'))).toBe('a_confirmar');
});

test('a refusal is final, says which stop, and a new plan is looked for', async () => {
  answers = [
    json(409, { tipo: 'ponto-reservado', title: 'Ponto já reservado', status: 409, parada: 1 }),
    json(200, { roteiros: [itinerary('P1', 'P3')], ofertas: [] }),
  ];
  const booking = new Booking(itinerary('P1', 'P2'), journey, 'carro-1');
  await booking.run();
  expect(booking.phase).toBe('refused');
  expect(booking.progress(stop(0, 'P1'))).toBe('abortada');
  expect(booking.progress(stop(1, 'P2'))).toBe('refused');
  expect(booking.replanned?.paradas.map(({ ponto_id }) => ponto_id)).toEqual(['P1', 'P3']);
  expect(sent.map(({ path }) => path)).toEqual(['./viagens', './viagens/planejar']);
});

test('the same plan again is no way around', async () => {
  answers = [
    json(409, { tipo: 'ponto-retido', title: '…', status: 409, parada: 0 }),
    json(200, { roteiros: [itinerary('P1')], ofertas: [] }),
  ];
  const booking = new Booking(itinerary('P1'), journey, 'carro-1');
  await booking.run();
  expect(booking.replanned).toBeNull();
});

test('nor is another one at the same charger at the same time', async () => {
  answers = [
    json(409, { tipo: 'ponto-reservado', title: '…', status: 409, parada: 1 }),
    json(200, { roteiros: [itinerary('P3', 'P2'), itinerary('P3', 'P4')], ofertas: [] }),
  ];
  const booking = new Booking(itinerary('P1', 'P2'), journey, 'carro-1');
  await booking.run();
  expect(booking.replanned?.paradas.map(({ ponto_id }) => ponto_id)).toEqual(['P3', 'P4']);
});

test('the plan that follows upon a company that does not answer does without it', async () => {
  const at = (empresa: string, point: string) => ({ ...stop(0, point), empresa });
  const plan = (...paradas: ItineraryStop[]) => ({ paradas }) as Itinerary;
  answers = [
    json(409, { tipo: 'empresa-inacessivel', title: '…', status: 409, parada: 0, empresa: 'empresa-c' }),
    // Whatever the program answers: what goes there again is no way around.
    json(200, { roteiros: [plan(at('empresa-c', 'C2')), plan(at('empresa-b', 'B1'))], ofertas: [] }),
  ];
  const asked = { ...journey, evitar_empresas: ['empresa-x'] };
  const booking = new Booking(plan(at('empresa-c', 'C1')), asked, 'carro-1');
  await booking.run();
  expect(sent.at(-1)?.body['evitar_empresas']).toEqual(['empresa-x', 'empresa-c']);
  expect(booking.silent).toBe('empresa-c');
  expect(booking.replanned?.paradas.map(({ ponto_id }) => ponto_id)).toEqual(['B1']);
  // Who books it and is refused once more is not led back.
  expect(booking.replannedFor?.evitar_empresas).toEqual(['empresa-x', 'empresa-c']);
});

test('silence to the end is neither booked nor refused', async () => {
  answers = Array.from({ length: 20 }, () => () => new Error('broken line'));
  const booking = new Booking(itinerary('P1'), journey, 'carro-1');
  const run = booking.run();
  await vi.advanceTimersByTimeAsync(120_000);
  await run;
  expect(booking.phase).toBe('unknown');
});
