import { expect, test } from 'vitest';
import type { History, Passage } from '../src/api/types';
import { traceOf } from '../src/state/trace';

const passage = (us: number, evento: string, rest: Partial<Passage> = {}): Passage => ({
  instante: '2026-12-01T11:00:00.000Z',
  us,
  evento,
  ...rest,
});
const history = (empresa: string, historia: Passage[]): History => ({
  empresa,
  sessao: 'empresa-a.1.1.1.1',
  coordenador: 'empresa-a',
  historia,
});
const told = (histories: History[]) =>
  traceOf(histories).messages.map(
    ({ from, to, what, detail }) => `${from}>${to} ${what}${detail ? ` ${detail}` : ''}`,
  );

test('a trip that two companies confirm reads from the request to the last acknowledgement', () => {
  const coordinator = history('empresa-a', [
    passage(0, 'iniciada'),
    passage(10, 'pedido_enviado', { empresa: 'empresa-a' }),
    passage(20, 'pedido_enviado', { empresa: 'empresa-b' }),
    passage(900, 'retida', { empresa: 'empresa-a', voto: 'sim' }),
    passage(910, 'voto_recebido', { empresa: 'empresa-a', voto: 'sim' }),
    passage(3_000, 'voto_recebido', { empresa: 'empresa-b', voto: 'sim' }),
    passage(4_500, 'decidida', { resultado: 'confirmada' }),
    passage(4_600, 'confirmacao_enviada', { empresa: 'empresa-b' }),
    passage(7_000, 'confirmacao_reconhecida', { empresa: 'empresa-b' }),
  ]);
  const other = history('empresa-b', [
    { ...passage(0, 'retida', { empresa: 'empresa-a', voto: 'sim' }), instante: '2026-12-01T11:00:00.002Z' },
    { ...passage(4_000, 'confirmada'), instante: '2026-12-01T11:00:00.006Z' },
  ]);
  const trace = traceOf([coordinator, other]);
  expect(trace.lanes).toEqual(['driver', 'empresa-a', 'empresa-b']);
  expect(trace.decidedAfter).toBeCloseTo(4.5, 3);
  expect(told([coordinator, other])).toEqual([
    'driver>empresa-a request',
    'empresa-a>empresa-a hold',
    'empresa-a>empresa-b hold',
    'empresa-a>empresa-a held',
    'empresa-b>empresa-b held',
    'empresa-b>empresa-a vote-yes',
    'empresa-a>empresa-a commit',
    'empresa-a>driver booked',
    'empresa-a>empresa-b confirm',
    'empresa-b>empresa-b confirmed',
    'empresa-b>empresa-a acknowledged',
  ]);
});

test('a no is shown with its reason, and what is not known is not left out', () => {
  expect(
    told([
      history('empresa-a', [
        passage(0, 'iniciada'),
        passage(5, 'voto_recebido', { empresa: 'empresa-b', voto: 'nao', tipo: 'ponto-reservado' }),
        passage(6, 'decidida', { resultado: 'abortada' }),
        passage(9, 'algo-novo'),
      ]),
    ]),
  ).toEqual([
    'driver>empresa-a request',
    'empresa-b>empresa-a vote-no ponto-reservado',
    'empresa-a>empresa-a abort',
    'empresa-a>driver refused',
    'empresa-a>empresa-a algo-novo',
  ]);
});

test('a company that is asked for days does not make a diagram without end', () => {
  const retries = Array.from({ length: 5_000 }, (_, us) =>
    passage(us, 'entrega_falhou', { empresa: 'empresa-b' }),
  );
  const trace = traceOf([history('empresa-a', retries)]);
  expect(trace.messages.length + trace.left).toBe(5_000);
  expect(trace.messages.length).toBeLessThan(200);
});
