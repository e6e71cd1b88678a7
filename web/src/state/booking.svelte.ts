// Booking one plan: the request, what each stop's company has done so far, and how it ended.
import { problemOf, UNREACHABLE } from '../api/client';
import type { Itinerary, ItineraryStop, Journey, Offer, Problem, Trip, TripRequest } from '../api/types';
import { live } from './live.svelte';

export type Phase = 'asking' | 'booked' | 'refused' | 'unknown' | 'cancelling' | 'cancelled';
export type StopProgress =
  | 'asked'
  | 'refused'
  | 'perdida'
  | 'a_confirmar'
  | 'preparada'
  | 'provisoria'
  | 'confirmada'
  | 'liberada'
  | 'abortada';

const TRIES_MAX = 6;
const PAUSE_MS = 1_500;
/** Among so many other plans there is one that leaves out what was refused. */
const ALTERNATIVES = 3;
/** What a company is refused for that does not answer; whoever plans next does without it. */
const SILENCES = ['empresa-inacessivel', 'decisao-tardia', 'indisponivel'];

export class Booking {
  phase = $state<Phase>('asking');
  problem = $state<Problem>();
  trip = $state<Trip>();
  isRepeating = $state(false);
  /** After a refusal: what could be done instead. */
  replanned = $state.raw<Itinerary | null>();
  /** What was asked for it, and what was known of the companies' offers. */
  replannedFor = $state.raw<Journey>();
  offers = $state.raw<Offer[]>([]);

  readonly #request: TripRequest;
  readonly #began = performance.now();
  #server: string;

  constructor(
    readonly itinerary: Itinerary,
    readonly journey: Journey,
    readonly vehicle: string,
  ) {
    this.#server = itinerary.paradas[0]?.empresa ?? '';
    this.#request = {
      requisicao_id: newId(),
      veiculo: { veiculo_id: vehicle },
      paradas: itinerary.paradas.map(({ empresa, ponto_id, janela_inicio, janela_fim }) => ({
        empresa,
        ponto_id,
        janela_inicio,
        janela_fim,
      })),
    };
  }

  /** Asks until it is known: the same request never books twice. */
  async run(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const company = live.anyone(this.#server);
      if (!company) return;
      try {
        const trip = await company.api.book(this.#request);
        this.#server = trip.servidor;
        this.trip = { ...trip, roteiro: this.itinerary };
        this.phase = 'booked';
        live.keep(this.trip);
        return;
      } catch (error) {
        const problem = problemOf(error);
        if (isUnknown(problem) && attempt < TRIES_MAX) {
          this.isRepeating = true;
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
          continue;
        }
        this.problem = problem;
        this.phase = isUnknown(problem) ? 'unknown' : 'refused';
        if (this.phase === 'refused') await this.#replan();
        return;
      }
    }
  }

  async cancel(): Promise<void> {
    const company = live.link(this.#server) ?? live.anyone();
    if (!this.trip || !company) return;
    this.phase = 'cancelling';
    try {
      this.trip = { ...(await company.api.cancel(this.trip.viagem_id)), roteiro: this.itinerary };
      live.keep(this.trip);
      this.problem = undefined;
      this.phase = 'cancelled';
    } catch (error) {
      this.problem = problemOf(error);
      this.phase = 'booked';
    }
  }

  /** How far it is with one stop: what its company said, or else what follows from the answer. */
  progress(stop: ItineraryStop): StopProgress {
    void live.sessionsVersion;
    void live.tripsVersion;
    if (this.phase === 'refused') {
      return this.problem?.parada === stop.parada ? 'refused' : 'abortada';
    }
    const known = live.trips.get(this.trip?.viagem_id ?? '') ?? this.trip;
    const settled = known?.paradas.find(({ parada }) => parada === stop.parada)?.estado;
    // The company itself may have said so before the trip's coordinator has heard it.
    if (settled === 'a_confirmar' && this.#heard(stop) === 'confirmada') return 'confirmada';
    return settled ?? this.#heard(stop) ?? 'asked';
  }

  #heard(stop: ItineraryStop): StopProgress | undefined {
    const steps = live.sessions.get(this.trip?.sessao ?? this.#session() ?? '') ?? [];
    return steps.findLast(
      ({ empresa, hold }) => empresa === stop.empresa && hold.pontos.includes(stop.ponto_id),
    )?.hold.estado;
  }

  // Before the answer names the session: the last one that began since, and holds what was asked for. Whose car it is
  // only the company that coordinates tells.
  #session(): string | undefined {
    let last: string | undefined;
    const points = new Set(this.itinerary.paradas.map(({ ponto_id }) => ponto_id));
    for (const [session, steps] of live.sessions) {
      if (
        steps.some(
          ({ hold, heard }) => heard >= this.#began && hold.pontos.some((point) => points.has(point)),
        )
      )
        last = session;
    }
    return last;
  }

  /** The stop that was refused. */
  get refused(): ItineraryStop | undefined {
    return this.itinerary.paradas.find(({ parada }) => parada === this.problem?.parada);
  }

  /** The company that was refused because it does not answer. */
  get silent(): string | undefined {
    if (!SILENCES.includes(this.problem?.tipo ?? '')) return undefined;
    return this.problem?.empresa ?? this.refused?.empresa;
  }

  async #replan(): Promise<void> {
    const company = live.anyone(this.#server, this.silent);
    const avoided = [...(this.journey.evitar_empresas ?? []), ...(this.silent ? [this.silent] : [])];
    const journey = {
      ...this.journey,
      alternativas: ALTERNATIVES,
      ...(avoided.length > 0 && { evitar_empresas: avoided }),
    };
    try {
      const plans = await company?.api.plan(journey);
      this.offers = plans?.ofertas ?? [];
      this.replannedFor = journey;
      this.replanned = plans?.roteiros.find((one) => this.#goesAround(one, avoided)) ?? null;
    } catch {
      this.replanned = null;
    }
  }

  #goesAround(other: Itinerary, avoided: string[]): boolean {
    const { refused } = this;
    return (
      !isSame(other, this.itinerary) &&
      !other.paradas.some(
        (stop) => avoided.includes(stop.empresa) || (refused !== undefined && isInTheWayOf(stop, refused)),
      )
    );
  }
}

function isUnknown({ status, tipo }: Problem): boolean {
  return tipo === UNREACHABLE || tipo === 'em-andamento' || status >= 500 || status === 429;
}

function isInTheWayOf(stop: ItineraryStop, other: ItineraryStop): boolean {
  return (
    stop.empresa === other.empresa &&
    stop.ponto_id === other.ponto_id &&
    Date.parse(stop.janela_inicio) < Date.parse(other.janela_fim) &&
    Date.parse(other.janela_inicio) < Date.parse(stop.janela_fim)
  );
}

function isSame(one: Itinerary, other: Itinerary): boolean {
  const key = ({ paradas }: Itinerary) => paradas.map((stop) => stop.ponto_id + stop.janela_inicio).join();
  return key(one) === key(other);
}

/** Random, and made where `crypto.randomUUID` is not to be had, too: over plain HTTP. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `painel-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
