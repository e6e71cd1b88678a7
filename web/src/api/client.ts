// Every call that the page makes, typed. A refusal is thrown as the problem document that the program sent.
import { follow, type StreamOptions } from './stream';
import type {
  Availability,
  Cars,
  Health,
  Journey,
  Model,
  Network,
  Plans,
  Point,
  Problem,
  Trip,
  TripRequest,
} from './types';

/** Long enough for a trip that waits for a company that has stopped. */
const PATIENCE_MS = 45_000;

export class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

/** One company's program. */
export class Company {
  constructor(
    readonly base: string,
    private readonly token: () => string | null = () => null,
  ) {}

  health = () => this.call<Health>('GET', 'saude', undefined, [503]);
  network = () => this.call<Network>('GET', 'rede');
  models = async () => (await this.call<{ modelos: Model[] }>('GET', 'modelos')).modelos;
  metrics = () => this.text('metrics');

  /** What it offers between two instants; with `since`, only what changed after that revision. */
  async availability(
    from: string,
    to: string,
    since?: number,
  ): Promise<{ revision: number; complete: boolean; points: Point[] }> {
    const query = new URLSearchParams({ de: from, ate: to, limite: '500' });
    if (since !== undefined) query.set('alterados_desde', String(since));
    const points: Point[] = [];
    let revision = 0;
    let complete = true;
    for (;;) {
      const page = await this.call<Availability>('GET', `disponibilidade?${query}`);
      points.push(...page.pontos);
      // What changed while the pages came is asked for again: the first page's revision counts.
      revision ||= page.revisao;
      complete &&= page.alterados_desde === undefined;
      if (!page.proximo) return { revision, complete, points };
      query.set('cursor', page.proximo);
    }
  }

  async cars(): Promise<Cars['veiculos']> {
    const cars: Cars['veiculos'] = [];
    let cursor: string | undefined;
    do {
      const page = await this.call<Cars>(
        'GET',
        cursor ? `veiculos?cursor=${encodeURIComponent(cursor)}` : 'veiculos',
      );
      cars.push(...page.veiculos);
      cursor = page.proximo;
    } while (cursor);
    return cars;
  }

  plan = (journey: Journey) => this.call<Plans>('POST', 'viagens/planejar', journey);
  book = (request: TripRequest) => this.call<Trip>('POST', 'viagens', request);
  trip = (id: string) => this.call<Trip>('GET', `viagens/${encodeURIComponent(id)}`);
  cancel = (id: string) => this.call<Trip>('DELETE', `viagens/${encodeURIComponent(id)}`);
  trips = async (vehicle: string) =>
    (await this.call<{ viagens: Trip[] }>('GET', `viagens?veiculo_id=${encodeURIComponent(vehicle)}`))
      .viagens;

  events(options: Omit<StreamOptions, 'url' | 'headers'>): () => void {
    return follow({ ...options, url: `${this.base}eventos`, headers: this.headers() });
  }

  private headers(): Record<string, string> {
    const token = this.token();
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  private async call<T>(method: string, path: string, body?: unknown, fine: number[] = []): Promise<T> {
    const response = await this.send(method, path, body);
    const answer = await json(response);
    if (response.ok || fine.includes(response.status)) return answer as T;
    throw new Refusal(isProblem(answer) ? answer : unknownProblem(response.status));
  }

  private async text(path: string): Promise<string> {
    const response = await this.send('GET', path);
    if (!response.ok) throw new Refusal(unknownProblem(response.status));
    return response.text();
  }

  private async send(method: string, path: string, body?: unknown): Promise<Response> {
    try {
      return await fetch(this.base + path, {
        method,
        headers: { ...this.headers(), ...(body !== undefined && { 'Content-Type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch {
      throw new Refusal(unreachable());
    }
  }
}

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

function isProblem(answer: unknown): answer is Problem {
  return typeof answer === 'object' && answer !== null && 'tipo' in answer && 'title' in answer;
}

/** The words are the page's own: the program was not there to say anything. */
export const UNREACHABLE = 'sem-resposta';

function unreachable(): Problem {
  return { tipo: UNREACHABLE, title: 'Sem resposta', status: 0 };
}

function unknownProblem(status: number): Problem {
  return { tipo: 'nao-reconhecido', title: `HTTP ${status}`, status };
}

/** What went wrong, whatever it was. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  return {
    tipo: 'nao-reconhecido',
    title: error instanceof Error ? error.message : String(error),
    status: 0,
  };
}
