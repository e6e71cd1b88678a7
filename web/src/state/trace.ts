// The two-phase commit of one session as a sequence of messages, put together from what each company saw of it.
import type { History, Passage } from '../api/types';

export type Tone = 'ask' | 'yes' | 'no' | 'decide' | 'done' | 'undo' | 'wait';

export interface Message {
  /** Milliseconds since 1970, with fractions. */
  at: number;
  /** Lanes: `driver`, or a company. The same twice is something that a lane does alone. */
  from: string;
  to: string;
  tone: Tone;
  what: string;
  /** A word of the wire: a kind of problem, an outcome. */
  detail?: string;
}
export interface Trace {
  lanes: string[];
  messages: Message[];
  start: number;
  /** From the first message to the decision, in milliseconds. */
  decidedAfter?: number;
  /** Messages that are too many to be drawn. */
  left: number;
}

const DRIVER = 'driver';
/** A company that is away for hours is asked again and again. */
const MESSAGES_MAX = 120;

export function traceOf(histories: History[]): Trace {
  const coordinator = histories[0]?.coordenador ?? '';
  const companies = new Set(coordinator ? [coordinator] : []);
  const all: Message[] = [];
  for (const { empresa, historia } of histories) {
    // One clock, and within a company microseconds: finer than the instants that are written.
    const start = Date.parse(historia[0]?.instante ?? '');
    for (const passage of historia) {
      const at = start + (passage.us - (historia[0]?.us ?? 0)) / 1000;
      for (const message of messagesOf(empresa, coordinator, passage)) all.push({ ...message, at });
      if (passage.empresa) companies.add(passage.empresa);
    }
    if (historia.length > 0) companies.add(empresa);
  }
  // Equal instants keep their order: sorting is stable.
  all.sort((one, other) => one.at - other.at);
  const start = all[0]?.at ?? 0;
  const decided = all.find(({ tone }) => tone === 'decide');
  return {
    lanes: [DRIVER, ...companies],
    messages: all.slice(0, MESSAGES_MAX),
    left: Math.max(0, all.length - MESSAGES_MAX),
    start,
    ...(decided && { decidedAfter: decided.at - start }),
  };
}

function messagesOf(self: string, coordinator: string, passage: Passage): Omit<Message, 'at'>[] {
  const other = passage.empresa ?? coordinator;
  const yes = passage.voto === 'sim';
  const detail = passage.tipo ?? passage.resultado;
  const say = (from: string, to: string, tone: Tone, what: string, word?: string) => [
    { from, to, tone, what, ...(word && { detail: word }) },
  ];
  switch (passage.evento) {
    case 'iniciada':
      return say(DRIVER, self, 'ask', 'request');
    case 'pedido_enviado':
      return say(self, other, 'ask', 'hold');
    case 'retida':
      return say(self, self, yes ? 'done' : 'no', yes ? 'held' : 'not-held', yes ? undefined : detail);
    case 'voto_recebido':
      // To itself a company says nothing that it has not already shown.
      if (self === other) return [];
      return say(other, self, yes ? 'yes' : 'no', yes ? 'vote-yes' : 'vote-no', yes ? undefined : detail);
    case 'sem_voto':
      return say(other, self, 'wait', 'no-vote');
    case 'decidida':
      return passage.resultado === 'confirmada'
        ? [...say(self, self, 'decide', 'commit'), ...say(self, DRIVER, 'yes', 'booked')]
        : [...say(self, self, 'decide', 'abort'), ...say(self, DRIVER, 'no', 'refused')];
    case 'confirmacao_enviada':
      return say(self, other, 'done', 'confirm');
    case 'confirmacao_reconhecida':
      return self === other ? [] : say(other, self, 'yes', 'acknowledged');
    case 'entrega_falhou':
      return say(self, other, 'wait', 'undelivered');
    case 'liberacao_enviada':
      return say(self, other, 'undo', 'release');
    case 'liberacao_reconhecida':
      return self === other ? [] : say(other, self, 'yes', 'acknowledged');
    case 'aborto_enviado':
      return say(self, other, 'undo', 'let-go');
    case 'cancelada':
      return say(DRIVER, self, 'undo', 'cancel');
    case 'confirmada':
      return say(self, self, 'done', 'confirmed');
    case 'abortada':
    case 'liberada':
      return say(self, self, 'undo', passage.evento === 'abortada' ? 'aborted' : 'released');
    case 'vencida':
    case 'heuristica':
      return say(self, self, 'no', passage.evento === 'vencida' ? 'expired' : 'heuristic');
    case 'consulta_enviada':
      return say(self, other, 'ask', 'inquiry');
    case 'consulta_respondida':
      return say(other, self, 'yes', 'inquiry-answer', detail);
    case 'consulta_sem_resposta':
      return say(other, self, 'wait', 'inquiry-silence');
    case 'consultada':
      // Told by the company that asked.
      return [];
    default:
      return say(self, self, 'ask', passage.evento);
  }
}
